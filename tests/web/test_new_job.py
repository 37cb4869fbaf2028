"""From the address of a repository to a job that runs, with scripts and without."""

import json

import pytest
from playwright.sync_api import expect

from runhook.model.imports import proposed_packages
from tests.conftest import Repository
from tests.web.conftest import Visitor


def notebook(*cells: str) -> str:
    """A notebook whose first cell is that of the parameters."""
    made = [
        {
            "cell_type": "code",
            "execution_count": None,
            "id": f"cell-{number}",
            "metadata": {} if number else {"tags": ["parameters"]},
            "outputs": [],
            "source": source,
        }
        for number, source in enumerate(cells)
    ]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    metadata = {"kernelspec": kernel, "language_info": {"name": "python"}}
    return json.dumps({"cells": made, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5})


@pytest.fixture
def materials(repository: Repository) -> Repository:
    """Two branches, with a notebook of parameters, and a script of its own."""
    repository.commit(
        {
            "reports/weekly.ipynb": notebook("rows: int = 3  # how many", "import helper, six"),
            "reports/helper.py": "",
            "say.py": "import yaml\nprint('said')\n",
        }
    )
    repository.git("switch", "--create", "next")
    repository.commit({"only-next.sh": "echo from next\n"})
    repository.git("switch", "main")
    return repository


def test_a_job_in_a_minute_from_an_address_to_its_run(
    visitor: Visitor, materials: Repository
) -> None:
    page = visitor.page
    visitor.sign_in()
    visitor.go("/dash/jobs/new")
    page.get_by_role("link", name="begin with a repository").click()
    page.get_by_label("Address of the repository").fill(materials.url)
    page.get_by_role("button", name="Look into it").click()
    expect(page.get_by_label("reports/weekly.ipynb")).to_be_visible()
    expect(page.get_by_label("only-next.sh")).to_have_count(0)
    page.get_by_label("Branch or tag").select_option("next")
    page.get_by_role("button", name="Look again").click()
    page.get_by_label("only-next.sh").check()
    page.get_by_role("button", name="Go on").click()
    expect(page.get_by_label("Run command")).to_have_value("bash materials/only-next.sh")
    expect(page.get_by_label("Branch, tag or commit").first).to_have_value("next")
    page.get_by_label("Name", exact=True).fill("by-address")
    page.get_by_role("button", name="Save and start").click()
    page.get_by_role("link", name="log", exact=True).click()
    expect(page.locator("#log")).to_contain_text("from next")


def test_without_scripts_a_notebook_tells_its_parameters_and_packages(
    visitor_without_scripts: Visitor, materials: Repository
) -> None:
    visitor, page = visitor_without_scripts, visitor_without_scripts.page
    visitor.sign_in()
    visitor.go(f"/dash/jobs/from-git?url={materials.url}")
    page.get_by_role("button", name="Look into it").click()
    page.get_by_label("reports/weekly.ipynb").check()
    page.get_by_role("button", name="Go on").click()
    expect(page.get_by_label("or notebook")).to_have_value("materials/reports/weekly.ipynb")
    expect(page.get_by_label("Packages (pip)")).to_have_value("six")
    expect(page.get_by_text("Its parameters: rows (int).")).to_be_visible()
    expect(page.get_by_label("Name", exact=True)).to_have_value("weekly")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_have_text("weekly")
    expect(page.get_by_label("rows")).to_have_value("3")


def test_an_address_that_leads_nowhere_is_told_and_kept(
    visitor: Visitor, materials: Repository
) -> None:
    page = visitor.page
    visitor.sign_in()
    visitor.go("/dash/jobs/from-git")
    for wrong in (materials.url + "-not", "no address"):
        page.get_by_label("Address of the repository").fill(wrong)
        with page.expect_response("**/dash/jobs/from-git") as answer:
            page.get_by_role("button", name="Look into it").click()
        assert answer.value.status == 422
        expect(page.get_by_role("alert")).to_be_visible()
        expect(page.get_by_label("Address of the repository")).to_have_value(wrong)


def test_modules_are_found_under_the_names_of_their_packages() -> None:
    modules = ["sklearn", "cv2", "yaml", "PIL", "pandas", "IPython", "helper"]
    found = proposed_packages(modules, {"helper"})
    assert found == ["opencv-python-headless", "pandas", "pillow", "pyyaml", "scikit-learn"]
