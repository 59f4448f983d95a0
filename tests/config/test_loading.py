from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from greensalt.config import ClientConfig, MasterConfig, MinionConfig
from greensalt.config.base import Config, option_types
from greensalt.config.values import _CONVERTERS
from greensalt.errors import ConfigError


@pytest.fixture(autouse=True)
def no_configuration_of_the_user(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for variable in ("GREENSALT_CONFIG_DIR", "SALT_CONFIG_DIR"):
        monkeypatch.delenv(variable, raising=False)


def write(directory: Path, name: str, text: str) -> Path:
    path = directory / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def master(directory: Path, text: str, **overrides: Any) -> MasterConfig:
    write(directory, "master", text)
    return MasterConfig.load(directory, overrides)


def test_a_missing_file_means_salts_defaults(tmp_path: Path) -> None:
    config = MasterConfig.load(tmp_path)
    assert (config.publish_port, config.ret_port, config.worker_threads) == (4505, 4506, 5)
    assert config.pki_dir == Path("/etc/salt/pki/master")
    assert config.keep_jobs_seconds == 86400
    assert config.file_roots == {"base": ("/srv/salt", "/srv/spm/salt")}
    assert config.config_dir == tmp_path
    assert config.warnings == ()


def test_an_empty_file_and_empty_values_mean_defaults(tmp_path: Path) -> None:
    assert master(tmp_path, "").ret_port == 4506
    assert master(tmp_path, "# nothing\n").ret_port == 4506
    assert master(tmp_path, "ret_port:\nnodegroups:\n").nodegroups == {}


def test_values_of_the_file_are_taken_with_their_types(tmp_path: Path) -> None:
    config = master(
        tmp_path,
        "interface: 127.0.0.1\nret_port: '14506'\nloop_interval: 2\nauto_accept: true\n"
        "file_roots: {base: [/a, /b], dev: /c}\nhash_type: SHA256\nlog_level: Debug\n"
        "nodegroups:\n  - web: 'L@a,b'\n  - db: 'db*'\nid: 42\n",
    )
    assert (config.interface, config.ret_port, config.auto_accept) == ("127.0.0.1", 14506, True)
    assert config.loop_interval == 2.0
    assert config.file_roots == {"base": ("/a", "/b"), "dev": ("/c",)}
    assert (config.hash_type, config.log_level, config.id) == ("sha256", "debug", "42")
    assert config.nodegroups == {"web": "L@a,b", "db": "db*"}


def test_an_unknown_key_names_the_file_the_key_and_the_nearest_option(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        master(tmp_path, "ret_prot: 1\n")
    message = f"{tmp_path / 'master'}: unknown option 'ret_prot'; did you mean 'ret_port'?"
    assert str(caught.value) == message


def test_event_return_names_returners(tmp_path: Path) -> None:
    returners = "master_returners: {audit: {type: syslog}, other: {type: syslog}}\n"
    assert master(tmp_path, f"{returners}event_return: audit\n").event_return == ("audit",)
    both = master(tmp_path, f"{returners}event_return: [other, audit]\nevent_return_queue: 5\n")
    assert (both.event_return, both.event_return_queue) == (("other", "audit"), 5)
    assert master(tmp_path, "event_return: ''\n").event_return == ()
    assert not both.warnings


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "event_return: audi",
            "there is no returner 'audi' in master_returners; did you mean 'audit'?",
        ),
        (
            "event_return: qqxxzz",
            "there is no returner 'qqxxzz' in master_returners; no returner has a similar name",
        ),
    ],
)
def test_event_return_of_an_unknown_returner_names_the_nearest(
    tmp_path: Path, text: str, told: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        master(tmp_path, f"master_returners: {{audit: {{type: syslog}}}}\n{text}\n")
    assert str(caught.value) == f"{tmp_path / 'master'}: event_return: {told}"


def test_wrong_values_of_event_return_name_file_and_key(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match="master: event_return_queue must be a number of at least 0"
    ):
        master(tmp_path, "event_return_queue: -1\n")
    with pytest.raises(
        ConfigError, match="master: event_return_whitelist must be a list of strings"
    ):
        master(tmp_path, "event_return_whitelist: {a: b}\n")
    with pytest.raises(ConfigError, match="'event_retrun'; did you mean 'event_return'"):
        master(tmp_path, "event_retrun: audit\n")


def test_a_key_like_no_other_says_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="'qqxxzz'; no option has a similar name"):
        master(tmp_path, "qqxxzz: 1\n")


def test_a_wrong_type_names_the_file_the_key_the_type_and_the_value(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        master(tmp_path, "worker_threads: many\n")
    message = f"{tmp_path / 'master'}: worker_threads must be a whole number, not 'many'"
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("auto_accept: 1", "auto_accept must be True or False, not 1"),
        ("auto_accept: 'yes'", "auto_accept must be True or False, not 'yes'"),
        ("worker_threads: true", "a whole number, not True"),
        ("worker_threads: 0", "a number of at least 1, not 0"),
        ("ret_port: 70000", "a number of at least 0 and at most 65535, not 70000"),
        ("loop_interval: soon", "a number, not 'soon'"),
        ("loop_interval: []", "a number, not \\[\\]"),
        ("user: true", "a string, not True"),
        ("user: [root]", "a string, not \\['root'\\]"),
        ("pki_dir: 7", "a path, not 7"),
        ("pki_dir: ''", "a path, not ''"),
        ('pki_dir: "a\\0b"', "a path without NUL"),
        ("peer: [a]", "a map, not \\['a'\\]"),
        ("file_roots: /srv", "a map from environments to lists"),
        ("file_roots: {base: {a: 1}}", "a map from environments to lists"),
        ("file_ignore_glob: {a: 1}", "a list of strings"),
        ("file_ignore_glob: [[a]]", "a list of strings"),
        ("hash_type: crc32", "one of md5, sha1, sha224, sha256, sha384, sha512, not 'crc32'"),
        ("job_store_sync: often", "one of full, normal"),
        ("minimum_auth_version: 2", "a number of at least 3"),
        ("keysize: 1024", "a number of at least 2048"),
        ("ipc_mode: tcp", "one of ipc"),
        ("publish_signing_algorithm: none", "one of PKCS1v15-SHA1, PKCS1v15-SHA224"),
    ],
)
def test_values_that_an_option_cannot_take_are_refused(
    tmp_path: Path, line: str, wanted: str
) -> None:
    with pytest.raises(ConfigError, match=wanted):
        master(tmp_path, line + "\n")


def test_all_problems_are_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        master(tmp_path, "ret_prot: 1\nworker_threads: x\nlog_level: loud\n")
    assert len(str(caught.value).splitlines()) == 3


def test_an_option_that_only_salt_uses_is_kept_with_a_warning(tmp_path: Path) -> None:
    config = master(tmp_path, "engines: []\n")
    assert config.others == {"engines": []}
    assert config.warnings == (
        f"{tmp_path / 'master'}: greensalt's master does not use the option engines",
    )


def test_settings_of_modules_and_sdb_profiles_are_kept_silently(tmp_path: Path) -> None:
    config = master(tmp_path, "mysql.host: db\nmysafe: {driver: vault}\n")
    assert config.others == {"mysql.host": "db", "mysafe": {"driver": "vault"}}
    assert config.warnings == ()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: b\nc: [1, 2\n", r"master:3: not valid YAML: "),
        ("a: b\n\tc: d\n", r"master:2: not valid YAML: "),
        ("- a\n- b\n", "must be a map of options .*, but is a list"),
        ("interface\n", "must be a map of options .*, but is a str"),
        ("interface: !!python/object/apply:os.getcwd []\n", r"master:1: not valid YAML: "),
        ("interface: \x00\n", "master: not valid YAML: "),
    ],
)
def test_bad_yaml_names_the_file_and_where_it_can_the_line(
    tmp_path: Path, text: str, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        master(tmp_path, text)


def test_a_file_that_cannot_be_read_is_an_error_not_a_default(tmp_path: Path) -> None:
    (tmp_path / "master").mkdir()
    with pytest.raises(ConfigError, match="master: can't be read: Is a directory"):
        MasterConfig.load(tmp_path)


def test_a_directory_that_was_asked_for_must_exist(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere \(from the command line\) does not exist"):
        MasterConfig.load(tmp_path / "nowhere")
    file = write(tmp_path, "master", "")
    with pytest.raises(ConfigError, match="is a file, not a directory"):
        MasterConfig.load(file)


def test_the_directory_comes_from_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, "salt/master", "ret_port: 1\n")
    write(tmp_path, "green/master", "ret_port: 2\n")
    monkeypatch.setenv("SALT_CONFIG_DIR", str(tmp_path / "salt"))
    assert MasterConfig.load().ret_port == 1
    monkeypatch.setenv("GREENSALT_CONFIG_DIR", str(tmp_path / "green"))
    assert MasterConfig.load().ret_port == 2


def test_included_files_are_merged_in_order_and_win_over_the_main_file(tmp_path: Path) -> None:
    write(tmp_path, "master.d/a.conf", "ret_port: 2\nfile_roots: {base: [/a], x: [/x]}\n")
    write(tmp_path, "master.d/b.conf", "ret_port: 3\nfile_roots: {base: [/b]}\n")
    write(tmp_path, "master.d/c.txt", "ret_port: 4\n")
    write(tmp_path, "more/one.conf", "publish_port: 9\ninclude: two.conf\n")
    write(tmp_path, "more/two.conf", "worker_threads: 8\n")
    config = master(tmp_path, "ret_port: 1\nfile_roots: {base: [/m]}\ninclude: [more/one.conf]\n")
    assert (config.ret_port, config.publish_port, config.worker_threads) == (3, 9, 8)
    assert config.file_roots == {"base": ("/a", "/b"), "x": ("/x",)}


def test_a_wrong_key_of_an_included_file_names_that_file(tmp_path: Path) -> None:
    included = write(tmp_path, "master.d/a.conf", "inteface: x\n")
    with pytest.raises(ConfigError, match=f"{included}: unknown option 'inteface'"):
        master(tmp_path, "ret_port: 1\n")


def test_an_include_without_a_match_is_a_warning(tmp_path: Path) -> None:
    (warning,) = master(tmp_path, "include: nothing/*.conf\n").warnings
    assert warning == f"{tmp_path / 'master'}: include 'nothing/*.conf' matches no file"


def test_includes_of_includes_end(tmp_path: Path) -> None:
    write(tmp_path, "loop.conf", "include: loop.conf\n")
    with pytest.raises(ConfigError, match="nested deeper than 16 files"):
        master(tmp_path, "include: loop.conf\n")


def test_an_include_must_be_a_path(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="include must be a path or a list of paths, not 7"):
        master(tmp_path, "include: 7\n")


def test_overrides_win_and_are_checked(tmp_path: Path) -> None:
    assert master(tmp_path, "ret_port: 1\n", ret_port=2).ret_port == 2
    with pytest.raises(ConfigError, match="the command line: ret_port must be a whole number"):
        master(tmp_path, "", ret_port="x")
    with pytest.raises(ConfigError, match="the command line: unknown option 'rat_port'"):
        master(tmp_path, "", rat_port=1)


def test_root_dir_is_put_before_the_paths_as_salt_does(tmp_path: Path) -> None:
    config = master(
        tmp_path,
        f"root_dir: {tmp_path}\npki_dir: /etc/keys\ncachedir: {tmp_path}/cache\n"
        "log_file: file:///dev/log\nautosign_file: autosign\n",
    )
    assert config.pki_dir == tmp_path / "etc/keys"
    assert config.cachedir == tmp_path / "cache"
    assert config.pidfile == tmp_path / "var/run/salt-master.pid"
    assert config.autosign_file == tmp_path / "autosign"
    assert config.autoreject_file is None
    assert config.log_file == "file:///dev/log"
    assert config.key_logfile == str(tmp_path / "var/log/salt/key")


def test_paths_of_the_command_line_are_not_below_root_dir(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    config = master(tmp_path, "root_dir: /jail\n", log_file="log", cachedir="c", sock_dir="/s")
    assert config.log_file == str(tmp_path / "log")
    assert config.cachedir == tmp_path / "c"
    assert config.sock_dir == Path("/s")
    assert config.pidfile == Path("/jail/var/run/salt-master.pid")


def test_sockets_go_below_a_much_shorter_cachedir_where_salts_tools_look(tmp_path: Path) -> None:
    assert master(tmp_path, "cachedir: /c\n").sock_dir == Path("/c/.salt-unix")
    config = master(tmp_path, "cachedir: /c\n", sock_dir="/a/rather/long/path/of/sockets")
    assert config.sock_dir == Path("/a/rather/long/path/of/sockets")


def test_the_hours_of_keep_jobs_count_where_no_seconds_are_given(tmp_path: Path) -> None:
    assert master(tmp_path, "keep_jobs: 2\n").keep_jobs_seconds == 7200
    assert master(tmp_path, "keep_jobs: 2\nkeep_jobs_seconds: 60\n").keep_jobs_seconds == 60


def test_the_masters_id_tells_it_from_the_minion_on_its_host(tmp_path: Path) -> None:
    assert MasterConfig.load(tmp_path).id == f"{os.uname().nodename}_master"
    config = master(tmp_path, "id: boss\npki_dir: /pki\n")
    assert config.pubkey_signature_path == Path("/pki/boss_pubkey_signature")
    config = master(tmp_path, "pki_dir: /pki\nmaster_pubkey_signature: mine\n")
    assert config.pubkey_signature_path == Path("/pki/mine")


def test_a_client_reads_the_masters_file_and_connects_to_loopback(tmp_path: Path) -> None:
    write(tmp_path, "master", "ret_port: 7\ninterface: '::'\n")
    write(tmp_path, "home/.saltrc", "timeout: 9\noutput: json\n")
    config = ClientConfig.load(tmp_path)
    assert (config.interface, config.ret_port) == ("::1", 7)
    assert (config.timeout, config.output) == (9.0, "json")
    assert config.token_file == str(tmp_path / "home/.salt_token")
    write(tmp_path, "master", "interface: 0.0.0.0\n")
    assert ClientConfig.load(tmp_path).interface == "127.0.0.1"
    write(tmp_path, "master", "interface: 10.0.0.7\n")
    assert ClientConfig.load(tmp_path).interface == "10.0.0.7"


def test_a_config_is_frozen_and_shares_nothing_with_others() -> None:
    one, other = MasterConfig(), MasterConfig()
    with pytest.raises(AttributeError, match="MasterConfig is frozen: user can't be set"):
        one.user = "me"  # type: ignore[misc]
    with pytest.raises(AttributeError, match="MasterConfig is frozen: user can't be deleted"):
        del one.user
    assert isinstance(one.peer, dict)
    one.peer["a"] = 1
    assert other.peer == {}
    assert MasterConfig().peer == {}


def test_a_config_can_be_built_by_hand_and_changed_by_copy() -> None:
    config = MasterConfig(ret_port=1)
    assert config.replace(publish_port=2).ret_port == 1
    assert config.publish_port == 4505
    with pytest.raises(TypeError, match="MasterConfig has no option 'port'"):
        config.replace(port=1)


def test_no_secret_is_in_the_repr() -> None:
    text = repr(MasterConfig(key_pass="sesame", ret_port=1))
    assert text == "MasterConfig(key_pass=<secret>, ret_port=1)"


def test_options_are_plain_data_under_salts_names(tmp_path: Path) -> None:
    write(tmp_path, "minion", "id: m\nreturn: [a, b]\nmy.setting: {x: [1]}\n")
    options = MinionConfig.load(tmp_path).options()
    assert options["return"] == ["a", "b"]
    assert options["pki_dir"] == "/etc/salt/pki/minion"
    assert options["file_roots"] == {"base": ["/srv/salt", "/srv/spm/salt"]}
    assert options["my.setting"] == {"x": [1]}
    assert "return_" not in options
    assert "config_dir" not in options
    assert "warnings" not in options


@pytest.mark.parametrize("config_class", [MasterConfig, MinionConfig, ClientConfig])
def test_every_option_has_a_type_that_can_be_checked(config_class: type[Config]) -> None:
    known = {*_CONVERTERS, "None"}
    for name, text in option_types(config_class).items():
        assert set(text.split(" | ")) <= known, name


def test_the_package_offers_nothing_else() -> None:
    import greensalt.config

    with pytest.raises(AttributeError, match="no attribute 'Missing'"):
        _ = greensalt.config.Missing


def test_yaml_is_not_imported_where_there_is_no_file(tmp_path: Path) -> None:
    import subprocess
    import sys

    code = (
        "import sys; from greensalt.config import ClientConfig;"
        f"ClientConfig.load({str(tmp_path)!r}); sys.exit('yaml' in sys.modules)"
    )
    environment: Mapping[str, str] = {**os.environ, "HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, check=False)
    assert done.returncode == 0
