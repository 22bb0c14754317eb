"""What pyproject.toml cannot say: the migrations lie in `alembic/` here, and in the wheel in `db/migrations/`.

There is no `alembic` at the top of the wheel: it would be written into the folder of the library of that name.
"""

from setuptools import find_namespace_packages, setup

OURS = ["api*", "cli*", "cogs*", "generation*", "db*"]

setup(
    packages=[*find_namespace_packages(include=OURS), "db.migrations", "db.migrations.versions"],
    package_dir={"db.migrations": "alembic"},
)
