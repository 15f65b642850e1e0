"""Settings: every mistake at once, by name."""

from pathlib import Path

import pytest
from inline_snapshot import snapshot

from towpath_server.core import config
from towpath_server.core.config import SettingsInvalid, load
from towpath_server.core.secret import Secret


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in config.environment():
        if name.startswith("TOWPATH_"):
            monkeypatch.delenv(name)


def test_variables_override_the_file_and_arguments_override_both(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "towpath.toml"
    file.write_text('port = 1\norganization = "Canal"\ncurrency = "USD"\n[log]\nlevel = "error"\n')
    monkeypatch.setenv("TOWPATH_PORT", "2")
    monkeypatch.setenv("TOWPATH_CURRENCY", "CHF")
    monkeypatch.setenv("TOWPATH_LOG__FORMAT", "text")

    settings = load(file, port=3, host=None)

    assert (settings.organization, settings.currency, settings.port) == ("Canal", "CHF", 3)
    assert (settings.log.level, settings.log.format) == ("error", "text")
    assert settings.host == "127.0.0.1"


def test_all_mistakes_are_reported_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "towpath.toml"
    file.write_text('databse_url = "x"\n[api]\nbody_bytes = 1\n[gateway]\nanything = true\n')
    monkeypatch.setenv("TOWPATH_PORT", "many")
    monkeypatch.setenv("TOWPATH_SECRET_KEY", "short")
    monkeypatch.setenv("TOWPATH_LOG__LEVEL", "loud")
    monkeypatch.setenv("TOWPATH_DATABASE_URL", "mysql://localhost/towpath")

    with pytest.raises(SettingsInvalid) as refused:
        load(file)

    assert str(refused.value) == snapshot("""\
6 settings are not valid:
  TOWPATH_PORT: input should be a valid integer, unable to parse string as an integer.
  TOWPATH_DATABASE_URL: `mysql` is not a database that Towpath runs on. Use `postgresql://user:password@host:5432/name`, or leave it out for SQLite.
  TOWPATH_SECRET_KEY: needs at least 32 characters.
  TOWPATH_LOG__LEVEL: input should be 'debug', 'info', 'warning' or 'error'.
  TOWPATH_API__BODY_BYTES (`api.body_bytes` in the settings file): input should be greater than or equal to 4096.
  `databse_url`: is not a setting. Did you mean `database_url`?\
""")


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "cannot be read: No such file"), ("weights", "holds no certificates in PEM form")],
)
def test_authorities_of_a_bucket_are_read_at_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str | None, message: str
) -> None:
    file = tmp_path / "authority.pem"
    if content is not None:
        file.write_text(content)
    monkeypatch.setenv("TOWPATH_ARTIFACTS__CA", str(file))

    with pytest.raises(SettingsInvalid, match=f"TOWPATH_ARTIFACTS__CA: .*{message}"):
        load(None)


def test_a_wrong_argument_is_reported_like_any_setting() -> None:
    with pytest.raises(SettingsInvalid, match="TOWPATH_PORT"):
        load(None, port=-1)


def test_a_file_that_is_not_there_or_not_toml(tmp_path: Path) -> None:
    broken = tmp_path / "broken.toml"
    broken.write_text("port = ")

    with pytest.raises(SettingsInvalid, match="does not exist"):
        load(tmp_path / "absent.toml")
    with pytest.raises(SettingsInvalid, match="cannot be read"):
        load(broken)


def test_a_secret_does_not_show_in_settings_or_in_their_errors(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TOWPATH_SECRET_KEY", "do-not-show-me-" * 3)
    monkeypatch.setenv("TOWPATH_ADMIN_KEY", "do-not-show")
    with pytest.raises(SettingsInvalid) as refused:
        load(None)
    monkeypatch.delenv("TOWPATH_ADMIN_KEY")

    assert "do-not-show" not in str(refused.value)
    assert "do-not-show" not in repr(load(None))
    assert load(None).secret_key == Secret("do-not-show-me-" * 3)


def test_settings_do_not_change() -> None:
    with pytest.raises(ValueError, match="frozen"):
        load(None).port = 1


def test_a_child_gets_the_environment_with_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOWPATH_PORT", "1")

    changed = config.environment({"TOWPATH_PORT": None, "TOWPATH_HOST": "::1"})

    assert "TOWPATH_PORT" not in changed
    assert changed["TOWPATH_HOST"] == "::1"
    assert changed["PATH"]


def test_networks_are_separated_by_commas_and_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "towpath.toml"
    file.write_text('egress_allow = ["10.0.0.1"]\n')
    from_file = load(file).egress_allow
    monkeypatch.setenv("TOWPATH_EGRESS_ALLOW", "127.0.0.1/8, fd00::/8")
    from_variable = load(file).egress_allow
    monkeypatch.setenv("TOWPATH_EGRESS_ALLOW", "everything")

    assert from_file == ("10.0.0.1/32",)
    assert from_variable == ("127.0.0.0/8", "fd00::/8")
    with pytest.raises(SettingsInvalid, match=r"TOWPATH_EGRESS_ALLOW .* 'everything'"):
        load(file)


def test_how_old_rules_may_be_is_a_duration_by_data_class(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "towpath.toml"
    file.write_text('max_table_age = {confidential = "10m"}\n')
    never = load(None).max_table_age.in_ms()
    monkeypatch.setenv("TOWPATH_MAX_TABLE_AGE__RESTRICTED", "1m30s")
    both = load(file).max_table_age.in_ms()
    monkeypatch.setenv("TOWPATH_MAX_TABLE_AGE__RESTRICTED", "4s")
    monkeypatch.setenv("TOWPATH_MAX_TABLE_AGE__SECRET", "1m")

    assert never == {}
    assert both == {"confidential": 600_000, "restricted": 90_000}
    with pytest.raises(SettingsInvalid) as refused:
        load(None)
    assert "TOWPATH_MAX_TABLE_AGE__RESTRICTED" in refused.value.detail
    assert "at least 5s" in refused.value.detail
    assert "`max_table_age.secret`" in refused.value.detail
