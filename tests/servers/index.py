"""A folder of packages over HTTP, and a package whose build does what it should not."""

import io
import tarfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

SOURCE = """
import os, zipfile

def build_wheel(folder, config_settings=None, metadata_directory=None):
    told = []
    for path in {files}:
        try: told.append("read " + repr(open(path, "rb").read()))
        except OSError as error: told.append(str(error))
    for path in {targets}:
        try: told.append("planted " + str(open(path, "w").write("x")))
        except OSError as error: told.append(str(error))
    name = "rhwicked-1-py3-none-any.whl"
    with zipfile.ZipFile(os.path.join(folder, name), "w") as wheel:
        wheel.writestr("rhwicked.py", "TOLD = " + repr(told))
        info = "rhwicked-1.dist-info/"
        wheel.writestr(info + "METADATA", "Metadata-Version: 2.1\\nName: rhwicked\\nVersion: 1\\n")
        wheel.writestr(info + "WHEEL", "Wheel-Version: 1.0\\nGenerator: t\\n"
            "Root-Is-Purelib: true\\nTag: py3-none-any\\n")
        wheel.writestr(info + "RECORD", "rhwicked.py,,\\n" + info + "METADATA,,\\n"
            + info + "WHEEL,,\\n" + info + "RECORD,,\\n")
    return name
"""
"""A build backend that reads `files`, writes `targets`, and puts what came of it in its wheel."""

PROJECT = """
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
[project]
name = "rhwicked"
version = "1"
"""


class _Silent(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        return


class Index:
    """Serves `folder` at `url`."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder = folder
        self.url = url

    def add_source(self, backend: str) -> None:
        """Put the source distribution rhwicked 1 there, built by this backend."""
        files = {"pyproject.toml": PROJECT, "backend.py": backend}
        files["PKG-INFO"] = "Metadata-Version: 2.1\nName: rhwicked\nVersion: 1\n"
        with tarfile.open(self.folder / "rhwicked-1.tar.gz", "w:gz") as archive:
            for name, text in files.items():
                member = tarfile.TarInfo(f"rhwicked-1/{name}")
                member.size = len(text.encode())
                archive.addfile(member, io.BytesIO(text.encode()))


@contextmanager
def serving(folder: Path) -> Iterator[Index]:
    """An index of the files in `folder`, for as long as the block lasts."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Silent, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield Index(folder, f"http://127.0.0.1:{server.server_address[1]}/")
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
