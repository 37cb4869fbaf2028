"""From the modules that code imports to the packages that bring them: a proposal, for a person to
look at. Most packages are called as their module is; here stand those that are not."""

from collections.abc import Collection, Iterable

PACKAGES = {
    "Bio": "biopython",
    "Crypto": "pycryptodome",
    "MySQLdb": "mysqlclient",
    "OpenSSL": "pyopenssl",
    "PIL": "pillow",
    "attr": "attrs",
    "bs4": "beautifulsoup4",
    "cv2": "opencv-python-headless",
    "dateutil": "python-dateutil",
    "docx": "python-docx",
    "dotenv": "python-dotenv",
    "fitz": "pymupdf",
    "git": "gitpython",
    "google": "google-api-python-client",
    "grpc": "grpcio",
    "jose": "python-jose",
    "jwt": "pyjwt",
    "kafka": "kafka-python",
    "ldap": "python-ldap",
    "lxml_html_clean": "lxml-html-clean",
    "magic": "python-magic",
    "mpl_toolkits": "matplotlib",
    "osgeo": "gdal",
    "pkg_resources": "setuptools",
    "pptx": "python-pptx",
    "psycopg2": "psycopg2-binary",
    "pythonjsonlogger": "python-json-logger",
    "serial": "pyserial",
    "skimage": "scikit-image",
    "sklearn": "scikit-learn",
    "slugify": "python-slugify",
    "snowflake": "snowflake-connector-python",
    "socks": "pysocks",
    "tables": "tables",
    "usb": "pyusb",
    "win32com": "pywin32",
    "yaml": "pyyaml",
    "zmq": "pyzmq",
}
"""The module's name, where it differs from that of the package."""

BASE = frozenset(
    {
        *("IPython", "ipykernel", "jupyter_client", "jupyter_core", "nbclient"),
        *("nbconvert", "nbformat", "traitlets", "tornado", "zmq", "jinja2", "psutil", "dateutil"),
    }
)
"""Modules of the base environment, which every job has."""


def proposed_packages(imports: Iterable[str], own: Collection[str] = ()) -> list[str]:
    """The packages for these modules, each once, by name; without those of the base environment,
    and without modules that lie in the repository itself (`own`)."""
    wanted = {name for name in imports if name not in BASE and name not in own}
    return sorted({PACKAGES.get(name, name.replace("_", "-")) for name in wanted})
