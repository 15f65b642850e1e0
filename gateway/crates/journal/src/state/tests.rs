use std::io::Write;

use super::*;

#[test]
fn the_last_numbers_are_found_again() {
    let dir = tempfile::tempdir().unwrap();
    let (mut state, none) = StateFile::open(dir.path()).unwrap();
    for step in 1..=5 {
        state.write(Numbers { acknowledged: step, reserved: step * 10 }).unwrap();
    }

    let (_, found) = StateFile::open(dir.path()).unwrap();

    assert_eq!(none, None);
    assert_eq!(found, Some(Numbers { acknowledged: 5, reserved: 50 }));
}

#[test]
fn a_torn_copy_leaves_the_one_before() {
    let dir = tempfile::tempdir().unwrap();
    let (mut state, _) = StateFile::open(dir.path()).unwrap();
    state.write(Numbers { acknowledged: 1, reserved: 10 }).unwrap();
    state.write(Numbers { acknowledged: 2, reserved: 20 }).unwrap();
    let torn = copy_at(2) as u64;
    state.file.write_all_at(&[0xff; 20], torn).unwrap();

    let (_, found) = StateFile::open(dir.path()).unwrap();

    assert_eq!(found, Some(Numbers { acknowledged: 1, reserved: 10 }));
}

#[test]
fn a_file_that_was_cut_counts_as_lost() {
    let dir = tempfile::tempdir().unwrap();
    File::create(dir.path().join(NAME)).unwrap().write_all(b"short").unwrap();

    let (_, found) = StateFile::open(dir.path()).unwrap();

    assert_eq!(found, None);
}
