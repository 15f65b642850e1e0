//! One segment: a preallocated file, mapped, and the places of slots in it.
//!
//! All `unsafe` of the gateway is in this file. What makes it sound: a [`Place`] is the only way to a
//! slot's bytes, exactly one exists per slot in use, and it keeps the mapping alive.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use memmap2::{MmapOptions, MmapRaw};
use rustix::fs::FallocateFlags;
use rustix::io::Errno;

use crate::layout::{self, HEADER_BYTES, Header, STRIDE_WORD};

pub(crate) const SUFFIX: &str = "segment";
const UNFINISHED: &str = "unfinished";

/// A mapped segment file.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) salt: u32,
    pub(crate) path: PathBuf,
    file: File,
    map: MmapRaw,
    /// Something was written since the last sync began.
    dirty: AtomicBool,
    /// Its directory entry is not known to be on disk.
    fresh: AtomicBool,
}

/// The only handle to one slot: whoever holds it may write there.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) segment: Arc<Segment>,
    pub(crate) offset: u32,
    pub(crate) stride: u32,
    /// Where the allocator keeps this segment.
    pub(crate) index: u32,
}

impl Segment {
    /// Create a segment of `bytes` bytes, allocated on disk and with every page present in memory.
    ///
    /// It appears under its name only when it is complete.
    pub(crate) fn create(dir: &Path, bytes: u64, header: &Header) -> io::Result<Self> {
        let path = dir.join(format!("{:016x}.{SUFFIX}", header.number));
        let unfinished = path.with_extension(UNFINISHED);
        let made = Self::create_at(&unfinished, bytes, header).and_then(|file| {
            fs::rename(&unfinished, &path)?;
            Ok(file)
        });
        let file = match made {
            Ok(file) => file,
            Err(error) => {
                // Nothing more can be done about a file that cannot be removed; the next start tries again.
                let _ = fs::remove_file(&unfinished);
                return Err(error);
            }
        };
        let map = MmapOptions::new().populate().map_raw(&file)?;
        Ok(Self {
            salt: header.salt,
            path,
            file,
            map,
            dirty: AtomicBool::new(true),
            fresh: AtomicBool::new(true),
        })
    }

    fn create_at(path: &Path, bytes: u64, header: &Header) -> io::Result<File> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(path)?;
        allocate(&file, bytes)?;
        file.write_all_at(&header.encode(), 0)?;
        Ok(file)
    }

    /// Map an existing segment. The header is the caller's to check before it takes places.
    pub(crate) fn open(path: &Path, salt: u32) -> io::Result<Self> {
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        let map = MmapOptions::new().map_raw(&file)?;
        Ok(Self {
            salt,
            path: path.to_owned(),
            file,
            map,
            dirty: AtomicBool::new(false),
            fresh: AtomicBool::new(true),
        })
    }

    pub(crate) fn bytes(&self) -> usize {
        self.map.len()
    }

    /// Fix the size of its slots; one aligned store, so a crash leaves it set or not.
    pub(crate) fn set_stride(&self, stride: usize) {
        self.word(STRIDE_WORD).store(layout::stride_word(Some(stride)).to_le(), Ordering::Release);
        self.mark();
    }

    /// Note that there is something to sync. Called after the write it stands for.
    pub(crate) fn mark(&self) {
        if !self.dirty.load(Ordering::Relaxed) {
            self.dirty.store(true, Ordering::Release);
        }
    }

    /// Write what changed since the last call to disk. `true`: the directory must be synced too.
    pub(crate) fn sync(&self) -> io::Result<bool> {
        let fresh = self.fresh.load(Ordering::Relaxed);
        if self.dirty.swap(false, Ordering::AcqRel) || fresh {
            self.map.flush()?;
        }
        if fresh {
            self.file.sync_all()?;
            self.fresh.store(false, Ordering::Relaxed);
        }
        Ok(fresh)
    }

    fn word(&self, at: usize) -> &AtomicU32 {
        assert!(at.is_multiple_of(4) && at + 4 <= self.map.len(), "word outside of the segment");
        // SAFETY: in bounds and aligned (the mapping begins at a page), valid as long as `self`. The
        // process's only other accesses to a slot's words are through its one `Place`.
        unsafe { AtomicU32::from_ptr(self.map.as_mut_ptr().add(at).cast()) }
    }

    fn double_word(&self, at: usize) -> &AtomicU64 {
        assert!(at.is_multiple_of(8) && at + 8 <= self.map.len(), "word outside of the segment");
        // SAFETY: as in `word`.
        unsafe { AtomicU64::from_ptr(self.map.as_mut_ptr().add(at).cast()) }
    }
}

impl Place {
    /// The slot at `offset`.
    ///
    /// # Safety
    /// No other `Place` of this slot exists or comes to exist before this one is dropped.
    pub(crate) unsafe fn new(
        segment: Arc<Segment>,
        offset: usize,
        stride: usize,
        index: u32,
    ) -> Self {
        assert!(
            offset >= HEADER_BYTES
                && offset + stride <= segment.bytes()
                && stride.is_multiple_of(512),
            "slot outside of the segment"
        );
        Self { segment, offset: offset as u32, stride: stride as u32, index }
    }

    pub(crate) fn seed(&self) -> u32 {
        layout::seed(self.segment.salt, self.offset as usize)
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        let (offset, stride) = (self.offset as usize, self.stride as usize);
        // SAFETY: `new` checked the bounds; the mapping lives as long as `self.segment`. This is the only
        // `Place` of the slot, and writing needs `&mut self` or goes through the atomics of `&self`, which
        // no caller uses while it holds this slice.
        unsafe { std::slice::from_raw_parts(self.segment.map.as_ptr().add(offset), stride) }
    }

    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        let (offset, stride) = (self.offset as usize, self.stride as usize);
        // SAFETY: as in `bytes`, and `&mut self` excludes every other reference to the slot.
        unsafe { std::slice::from_raw_parts_mut(self.segment.map.as_mut_ptr().add(offset), stride) }
    }

    /// A word that is stored at once, whatever instruction the process dies at.
    pub(crate) fn word(&self, at: usize) -> &AtomicU32 {
        self.segment.word(self.offset as usize + at)
    }

    pub(crate) fn double_word(&self, at: usize) -> &AtomicU64 {
        self.segment.double_word(self.offset as usize + at)
    }
}

/// Reserve the file's blocks, so that writing to the mapping cannot find the disk full.
fn allocate(file: &File, bytes: u64) -> io::Result<()> {
    match rustix::fs::fallocate(file, FallocateFlags::empty(), 0, bytes) {
        // What posix_fallocate does where the file system has no such call.
        Err(Errno::OPNOTSUPP) => write_zeros(file, bytes),
        result => Ok(result?),
    }
}

fn write_zeros(mut file: &File, bytes: u64) -> io::Result<()> {
    let zeros = [0; 64 * 1024];
    let mut left = bytes;
    while left > 0 {
        let part = zeros.len().min(usize::try_from(left).unwrap_or(zeros.len()));
        file.write_all(&zeros[..part])?;
        left -= part as u64;
    }
    Ok(())
}

/// Remove what an interrupted [`Segment::create`] left behind, and list the segments by number.
pub(crate) fn list(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        match path.extension().and_then(|extension| extension.to_str()) {
            Some(UNFINISHED) => fs::remove_file(&path)?,
            Some(SUFFIX) => found.push(path),
            _ => {}
        }
    }
    found.sort();
    Ok(found)
}
