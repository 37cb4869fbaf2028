"""Files that a job wants in the home of its runs: configuration, no secrets. They stand in the
definition, for everybody to read who may see the job."""

from collections.abc import Collection, Mapping

from pydantic import BaseModel, ConfigDict, Field

from runhook.model.secret import home_path

MODE = 0o644


class ConfigFile(BaseModel):
    """What is in the file, and who may use it how, as for chmod."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    content: str = Field(max_length=100_000)
    mode: str = Field(default="0644", pattern=r"^0?[0-7]{3}$", description="Octal, as for chmod.")

    @property
    def bits(self) -> int:
        """The mode as a number."""
        return int(self.mode, 8)


def check_files(files: Mapping[str, ConfigFile], taken: Collection[str]) -> None:
    """ValueError, as a sentence, if a path leads out of the home, or two files (`taken` are paths
    of others) want one place."""
    seen = set(taken)
    for name, file in files.items():
        try:
            path = home_path(name)
        except ValueError as error:
            raise ValueError(str(error).replace("location: ", "config_files: ", 1)) from None
        if "\x00" in file.content:
            raise ValueError(f"config_files: {name} holds a NUL character")
        if path in seen:
            raise ValueError(f"config_files: two files would stand at ~/{path}")
        seen.add(path)
    for place in seen:
        if any(other.startswith(f"{place}/") for other in seen):
            raise ValueError(f"config_files: ~/{place} would be a file and a folder")
