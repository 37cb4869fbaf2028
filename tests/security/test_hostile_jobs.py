"""Jobs that mean harm, on real servers: what they try is contained.

They run at the best level that this machine gives, and at the best that a server without special
rights gets. What is not held at a level is said: `test_isolation.py`.
"""

import os
import stat
import sys
from pathlib import Path

import pytest

from runhook.runner.collect import DEEPEST
from tests.conftest import Repository
from tests.runner.wheels import make_wheel
from tests.security.conftest import Attacker, requiring, wait_until_gone
from tests.servers.index import SOURCE, Index

PROCESSES = 40


def test_it_sees_no_process_but_its_own(attacker: Attacker, victim: Path) -> None:
    look = "ls /proc | grep -c '^[0-9]'; cat /proc/[0-9]*/environ | tr '\\0' '\\n'"
    ran = attacker.run(f"{look}; cat /proc/[0-9]*/cmdline; true")
    lines = ran.log.splitlines()
    assert int(lines[0]) < 10
    assert "kept-secret" not in ran.log
    assert "sleep\x00600" not in ran.log


def test_it_reads_no_other_run(attacker: Attacker, victim: Path) -> None:
    names = "workspace/secret.txt spec.json log events.jsonl home artifacts"
    look = "; ".join(f"cat {victim}/{name}" for name in names.split())
    ran = attacker.run(f"{look}; ls -R {victim} {attacker.data}; true")
    assert "kept-secret" not in ran.log
    assert victim.name not in ran.log.replace(f"{victim}", "")
    assert ran.log.count("No such file or directory") >= 6


def test_it_reads_nothing_of_its_own_attempt_but_what_is_meant_for_it(attacker: Attacker) -> None:
    ran = attacker.run("cd $HOME/..; ls -A; cat spec.json log result.json lock.txt; true")
    names = ran.log.partition("cat:")[0].split()
    assert set(names) <= {"artifacts", "home", "out", "tmp", "workspace"}


def test_it_reads_neither_keys_nor_database_nor_settings(attacker: Attacker) -> None:
    (attacker.data / "runhook.toml").touch()
    files = [attacker.data / name for name in ("keys/server.key", "runhook.db", "runhook.toml")]
    ran = attacker.run(f"cat {' '.join(map(str, files))}; ls {attacker.data}; true")
    assert ran.log.count("No such file or directory") == len(files)
    assert set(ran.log.splitlines()[len(files) :]) <= {"attempts", "cache"}


def test_it_reads_nothing_in_the_home_of_the_servers_user(attacker: Attacker) -> None:
    home = attacker.data.parent
    (home / ".ssh").mkdir(exist_ok=True)
    (home / ".ssh" / "id_test").write_text("kept-secret")
    ran = attacker.run(f"cat {home}/.ssh/id_test; ls -A {home} /root /home; cat /etc/shadow; true")
    assert "kept-secret" not in ran.log
    assert ".ssh\n" not in ran.log
    assert "root:" not in ran.log.replace("/root:", "")


def test_it_writes_into_nothing_that_others_read(attacker: Attacker, materials: Repository) -> None:
    command = """
        for place in $VIRTUAL_ENV $VIRTUAL_ENV/lib/python*/site-packages \
            $(cat materials/.git/objects/info/alternates) /etc /usr/bin /var
        do touch $place/planted && echo "planted in $place"; done
        echo x >> $(readlink -f $VIRTUAL_ENV/bin/python) && echo replaced
        git -C materials log --oneline | wc -l
    """
    materials.commit({"a.txt": "a"})
    ran = attacker.run(command, git_repositories=[{"url": materials.url, "path": "materials"}])
    assert "planted in" not in ran.log
    assert "replaced" not in ran.log
    assert ran.log.splitlines()[-1] == "1", "the checkout has lost its history"


def test_a_fork_bomb_stays_within_its_limit(attacker: Attacker, victim: Path) -> None:
    bomb = "bomb() { bomb | bomb & }; bomb; sleep 1; exit 4"
    ran = attacker.run(bomb, limits={"processes": PROCESSES, "time": 20})
    assert ran.run["state"] in ("failed", "timed_out")
    assert attacker.run("echo fine", "after-the-bomb").log == "fine\n"


def test_filling_the_disk_ends_at_its_limit_wherever_it_writes(attacker: Attacker) -> None:
    for place in ("$PWD", "/tmp", "/var/tmp"):
        command = f"head -c 9000000 /dev/zero > {place}/big; sleep 600"
        ran = attacker.run(command, limits={"disk": "4MB", "time": 60})
        assert ran.run["state"] == "failed"
        assert "its files took" in str(ran.run["reason"])


def test_nothing_but_files_is_kept_of_what_is_among_its_artifacts(attacker: Attacker) -> None:
    command = f"""
        cd $RUNHOOK_ARTIFACTS
        echo good > good; mkdir -p deep/er; echo fine > deep/er/file
        ln -s /etc/shadow shadow; ln -s {attacker.data}/keys/server.key key
        ln -s / deep/root; ln -s ../good inner
        ln {attacker.data}/keys/server.key hard || ln /etc/passwd hard
        mkfifo pipe deep/pipe
        mknod device c 1 5
        python3 -c "import socket; socket.socket(socket.AF_UNIX).bind('socket')"
        cp /bin/true set && chmod 6755 set
        chmod 000 deep/er deep good
        true
    """
    ran = attacker.run(command)
    assert ran.run["state"] == "succeeded"
    kept = ran.kept
    assert set(kept) == {"good", "deep", "deep/er", "deep/er/file", "set"}
    assert kept["deep/er/file"].read_text() == "fine\n"
    for path in kept.values():
        facts = path.lstat()
        assert stat.S_ISREG(facts.st_mode) or stat.S_ISDIR(facts.st_mode)
        assert not facts.st_mode & (stat.S_ISUID | stat.S_ISGID)
        assert facts.st_uid == attacker.data.stat().st_uid


def test_what_is_swapped_while_it_is_collected_leads_nowhere(attacker: Attacker) -> None:
    command = f"""
        (setsid sh -c 'while :; do
            ln -sfn /etc $RUNHOOK_ARTIFACTS/a; ln -sfn {attacker.data}/keys/server.key out.ipynb
            rm -rf $RUNHOOK_ARTIFACTS/a out.ipynb; mkdir $RUNHOOK_ARTIFACTS/a; echo x > out.ipynb
        done' > /dev/null 2>&1 &)
        sleep 0.3
    """
    ran = attacker.run(command)
    assert ran.run["state"] == "succeeded"
    assert all(not path.is_symlink() for path in ran.kept.values())
    assert not (ran.directory / "artifacts" / "a" / "passwd").exists()


def test_a_folder_that_becomes_a_link_is_not_looked_into(
    attacker: Attacker, tmp_path: Path
) -> None:
    outside = attacker.data.parent / "outside"
    outside.mkdir(exist_ok=True)
    (outside / "private.ipynb").write_text("{}")
    command = f"mkdir inner; cd ..; rm -rf workspace/* ; ln -s {outside} workspace/inner; true"
    ran = attacker.run(f"{command}; mv workspace gone || true")
    assert "private.ipynb" not in ran.kept


@pytest.mark.parametrize("make", ["ln -s /etc/shadow", "mkfifo", "mkdir", "ln -s /dev/zero"])
def test_a_result_that_is_no_file_is_no_result(attacker: Attacker, make: str) -> None:
    ran = attacker.run(f"{make} $RUNHOOK_RESULT")
    assert ran.run["state"] == "succeeded"
    assert not os.path.lexists(ran.directory / "result-value.json")


def test_a_result_is_kept(attacker: Attacker) -> None:
    ran = attacker.run("""echo '{"rows": 3}' > $RUNHOOK_RESULT""")
    assert (ran.directory / "result-value.json").read_text() == '{"rows": 3}\n'


def test_a_workspace_without_rights_is_removed_all_the_same(attacker: Attacker) -> None:
    ran = attacker.run("mkdir -p a/b/c; touch a/b/c/d; chmod 000 a/b/c a/b a .; true")
    assert ran.run["state"] == "succeeded"
    for name in ("workspace", "home", "tmp", "out"):
        wait_until_gone(ran.directory / name)


DEEP = """python3 -c '
import os
for folder in os.environ["RUNHOOK_ARTIFACTS"], os.getcwd():
    os.chdir(folder)
    for _ in range(3000):
        os.mkdir("d")
        os.chdir("d")
'; true"""


def test_what_is_nested_without_end_costs_neither_the_result_nor_the_tidying(
    attacker: Attacker,
) -> None:
    ran = attacker.run(DEEP)
    assert (ran.run["state"], ran.run["exit_code"]) == ("succeeded", 0), ran.run["reason"]
    wait_until_gone(ran.directory / "workspace")
    depth, place = 0, ran.directory / "artifacts"
    while (place / "d").is_dir():
        depth, place = depth + 1, place / "d"
    assert 0 < depth <= DEEPEST


def test_a_notebook_too_large_to_be_masked_is_not_kept_and_costs_no_result(
    attacker: Attacker,
) -> None:
    secret = {"name": "of-a-giant", "value": "a long enough value"}
    assert attacker.api.request("POST", "/api/secrets", json=secret).ok
    attached = [{"location": "S", "attachment_type": "environment_variable", "name": "of-a-giant"}]
    ran = attacker.run('truncate -s 4T "$RUNHOOK_ARTIFACTS/x.ipynb"; true', secrets=attached)
    assert ran.run["state"] == "succeeded", ran.run["reason"]
    assert not (ran.directory / "artifacts" / "x.ipynb").exists()


def test_terminal_escapes_stay_bytes_of_a_text(attacker: Attacker) -> None:
    ran = attacker.run(r"printf '\033]0;owned\007\033[2J\033]52;c;eA==\007<script>x</script>'")
    answer = attacker.api.request("GET", f"/api/runs/{ran.run['id']}/log")
    assert answer.headers["content-type"].startswith("text/plain")
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_nothing_gives_it_more_rights(attacker: Attacker) -> None:
    command = """
        grep -E '^(NoNewPrivs|CapEff|CapPrm|CapAmb|Uid)' /proc/self/status
        cp /bin/bash $PWD/shell; chmod 4755 shell; ./shell -p -c 'id -u'
        mount -t tmpfs none /mnt && echo mounted; umount /tmp && echo uncovered
        umount -l $HOME/.. && echo uncovered; chroot / true && echo chrooted; true
    """
    ran = attacker.run(command)
    facts = dict(line.split(":\t", 1) for line in ran.log.splitlines() if ":\t" in line)
    assert facts["NoNewPrivs"] == "1"
    assert {int(facts[name], 16) for name in ("CapEff", "CapPrm", "CapAmb")} == {0}
    assert "0" not in facts["Uid"].split()
    words = ("mounted", "uncovered", "chrooted")
    assert not any(word in ran.log.splitlines() for word in words)


def test_a_box_in_the_box_uncovers_nothing(attacker: Attacker) -> None:
    key = attacker.data / "keys" / "server.key"
    command = f"unshare -Urm sh -c 'umount -l {attacker.data}; umount -l {key.parent}; cat {key}'"
    ran = attacker.run(f"{command}; true")
    assert not ran.log or "No such file" in ran.log or "Operation not permitted" in ran.log


def test_it_can_neither_trace_nor_signal_another_run(attacker: Attacker, victim: Path) -> None:
    outside = [int(name) for name in os.listdir("/proc") if name.isdecimal()]
    program = (
        "import ctypes, os\n"
        f"for pid in {outside}:\n"
        "    try: os.kill(pid, 0)\n"
        "    except ProcessLookupError: continue\n"
        "    except PermissionError: pass\n"
        "    if pid > 20: print('sees', pid)\n"
        "    if pid not in (1, os.getpid()) and ctypes.CDLL(None).ptrace(16, pid, 0, 0) == 0:\n"
        "        print('traced', pid, open(f'/proc/{pid}/cmdline').read())\n"
    )
    ran = attacker.run(f"cat > p.py <<'E'\n{program}E\npython3 p.py")
    assert "sees" not in ran.log
    assert "600" not in ran.log


def test_killing_everything_kills_itself_alone(attacker: Attacker, victim: Path) -> None:
    ran = attacker.run("kill -9 -1; sleep 1; exit 3")
    assert ran.run["state"] == "failed"
    assert attacker.run("echo fine", "after-the-kill").log == "fine\n"


def test_it_finds_no_socket_of_the_server(attacker: Attacker) -> None:
    places = (attacker.data / "run", Path("/tmp"), Path("/run"))
    command = f"find {' '.join(map(str, places))} -type s 2>/dev/null; ls {attacker.data}/run"
    ran = attacker.run(f"{command}; ls /run/*.sock; true")
    assert ".sock\n" not in ran.log


def test_without_network_it_reaches_nobody(attacker: Attacker) -> None:
    url = attacker.api.server.url
    program = (
        "import urllib.request as r\n"
        f"try: print(r.urlopen('{url}/api/status', timeout=5).status)\n"
        "except OSError as error: print('no way', error)\n"
    )
    command = f'python3 -c "{program}"'
    assert attacker.run(command, "with-network").log == "200\n"
    assert attacker.run(command, "without-network", network=False).log.startswith("no way")


def test_what_a_start_script_installs_is_for_its_own_run(
    attacker: Attacker, materials: Repository
) -> None:
    make_wheel(materials.path, "1.0")
    materials.commit({})
    script = (
        "python -m zipfile -e materials/*.whl $VIRTUAL_ENV/lib/python*/site-packages  # install\n"
        "find $VIRTUAL_ENV -type f -links +1 | wc -l"
    )
    look = "python -c 'import tinypart; print(tinypart.__file__)'"
    more = {"git_repositories": [{"url": materials.url, "path": "materials"}]}
    ran = attacker.run(look, "installing", start_script=script, **more)
    assert ran.run["state"] == "succeeded", ran.log
    links, place = ran.log.splitlines()
    assert links == "0", "some files are those of the cache"
    assert place.startswith(str(ran.directory))
    assert "ModuleNotFoundError" in attacker.run(look, "not-installing", **more).log
    wait_until_gone(ran.directory / "environment")


def test_a_package_that_is_built_reads_and_changes_nothing_of_the_servers(
    attacker: Attacker, materials: Repository, index: Index
) -> None:
    key = attacker.data / "keys" / "server.key"
    planted = [attacker.data / "planted", attacker.data / "cache" / "environments" / "planted"]
    index.add_source(SOURCE.format(files=[str(key)], targets=[str(each) for each in planted]))
    ran = attacker.run(
        "python -c 'import rhwicked; print(rhwicked.TOLD)'",
        **requiring(materials, f"--find-links {index.url}\nrhwicked\n"),
    )
    assert ran.run["state"] == "succeeded", ran.log
    assert "read" not in ran.log
    assert "No such file or directory" in ran.log
    assert not any(path.exists() for path in planted)


def test_a_required_file_outside_the_workspace_is_not_read(
    attacker: Attacker, materials: Repository
) -> None:
    secret = attacker.data.parent / "private.txt"
    secret.write_text("kept secret ???\n")
    if attacker.data.stat().st_uid:
        os.chown(secret, attacker.data.stat().st_uid, -1)
    ran = attacker.run("true", "peeping", **requiring(materials, f"-r {secret}\n"))
    assert ran.run["state"] == "failed"
    assert "kept secret" not in f"{ran.log} {ran.run['reason']}"


def test_its_log_can_be_written_by_name(attacker: Attacker) -> None:
    ran = attacker.run("echo one; echo two | tee -a /dev/stderr > /dev/null; whoami")
    assert ran.log.splitlines()[:2] == ["one", "two"]


@pytest.mark.skipif(sys.platform != "linux", reason="signals and groups as Linux has them")
def test_the_grace_is_the_works_own(attacker: Attacker) -> None:
    command = "trap 'sleep 0.2; echo told > $RUNHOOK_ARTIFACTS/told; exit 3' INT; echo up; " + (
        "while :; do sleep 0.05; done"
    )
    run, directory = attacker.begin(command, "graceful")
    attacker.api.request("POST", f"/api/runs/{run}/cancel")
    ended = attacker.api.finished(run)
    assert ended["state"] == "cancelled"
    assert (directory / "artifacts" / "told").read_text() == "told\n"
