"""The fixtures that the wheel brings. script/package runs this in an environment that has the wheel and pytest."""

import subprocess

from optiinfra_dbctl import find_binary


def dbctl(url, *arguments):
    return subprocess.run([find_binary(), "--database-url", url, *arguments], capture_output=True, text=True)


def test_a_migrated_and_a_seeded_database(optiinfra_database, optiinfra_seeded_database):
    assert optiinfra_database != optiinfra_seeded_database
    assert dbctl(optiinfra_database, "migrate", "status", "--check").returncode == 0
    assert dbctl(optiinfra_database, "verify", "--seed").returncode == 1
    assert dbctl(optiinfra_seeded_database, "verify", "--seed").returncode == 0


def test_a_database_ends_with_its_test(optiinfra_server):
    url = optiinfra_server.ask("migrated")
    assert optiinfra_server.ask(f"drop {url}") == "dropped"
    assert dbctl(url, "migrate", "status").returncode == 3
