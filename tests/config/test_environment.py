"""The environment says where a process listens, stores and reads; mistakes are one line each."""

import pytest

from receiver.config import ConfigError, settings


def test_an_empty_environment_is_a_first_run_on_ones_own_machine():
    found = settings({})

    assert found.model_dump() == {
        "config": "routing.yaml",
        "database_url": "sqlite:///tocsin.db",
        "host": "127.0.0.1",
        "port": 5001,
        "public_url": None,
        "secret_key": None,
        "log_format": None,
        "log_level": "info",
    }
    assert found.base_url == "http://127.0.0.1:5001"


def test_every_variable_is_taken():
    found = settings(
        {
            "TOCSIN_CONFIG": "/etc/tocsin/routing.yaml",
            "TOCSIN_DATABASE_URL": "postgresql://db/tocsin",
            "TOCSIN_HOST": "0.0.0.0",
            "TOCSIN_PORT": "80",
            "TOCSIN_PUBLIC_URL": "https://tocsin.example.org/",
            "TOCSIN_SECRET_KEY": "hunter2",
            "TOCSIN_LOG_FORMAT": "JSON",
            "TOCSIN_LOG_LEVEL": "Debug",
            "HOME": "/root",
        }
    )

    assert (found.config, found.database_url) == ("/etc/tocsin/routing.yaml", "postgresql://db/tocsin")
    assert (found.host, found.port, found.base_url) == ("0.0.0.0", 80, "https://tocsin.example.org")
    assert (found.log_format, found.log_level) == ("json", "debug")
    assert found.secret_key.get_secret_value() == "hunter2"


def test_a_variable_can_be_read_from_a_file(tmp_path):
    (tmp_path / "url").write_text("postgresql://user:hunter2@db/tocsin\n")

    found = settings({"TOCSIN_DATABASE_URL_FILE": str(tmp_path / "url")})

    assert found.database_url == "postgresql://user:hunter2@db/tocsin"


def test_an_empty_variable_is_not_set():
    assert settings({"TOCSIN_PORT": "", "TOCSIN_PUBLIC_URL": ""}).port == 5001


def test_what_kubernetes_says_about_a_service_of_our_name_is_not_for_us():
    assert settings({"TOCSIN_PORT": "tcp://10.0.0.1:5001"}).port == 5001


def test_an_ipv6_address_is_in_brackets_in_links():
    assert settings({"TOCSIN_HOST": "::1"}).base_url == "http://[::1]:5001"


def test_no_secret_is_in_the_text_of_the_settings():
    found = settings({"TOCSIN_SECRET_KEY": "hunter2", "TOCSIN_DATABASE_URL": "postgresql://u:hunter2@db/x"})

    assert "hunter2" not in f"{found!r} {found}"


@pytest.mark.parametrize(
    ("environ", "line"),
    [
        pytest.param({"TOCSIN_PORT": "http"}, "TOCSIN_PORT: must be a whole number from 0 to 65535", id="a port that is no number"),
        pytest.param({"TOCSIN_PORT": "70000"}, "TOCSIN_PORT: must be a whole number from 0 to 65535", id="a port that is too great"),
        pytest.param({"TOCSIN_LOG_FORMAT": "xml"}, "TOCSIN_LOG_FORMAT: must be 'json' or 'console'", id="a format that does not exist"),
        pytest.param({"TOCSIN_LOG_LEVEL": "loud"}, "TOCSIN_LOG_LEVEL: must be 'debug', 'info', 'warning' or 'error'", id="a level that does not exist"),
        pytest.param({"TOCSIN_PUBLIC_URL": "tocsin.example.org"}, "TOCSIN_PUBLIC_URL: must be an address such as https://tocsin.example.org", id="an address without its scheme"),
        pytest.param({"TOCSIN_PUBLIC_URL": "http://[::1"}, "TOCSIN_PUBLIC_URL: must be an address such as https://tocsin.example.org", id="an address with half a bracket"),
        pytest.param({"TOCSIN_DATABASE_URL": "mysql://u:hunter2@db/x"}, "TOCSIN_DATABASE_URL: must begin with sqlite:/// or postgresql://", id="a database we do not know"),
        pytest.param({"TOCSIN_SECRET_KEY": "hunter2", "TOCSIN_SECRET_KEY_FILE": "/x"}, "TOCSIN_SECRET_KEY: is given twice, also as TOCSIN_SECRET_KEY_FILE; keep one", id="a value and a file"),
        pytest.param({"TOCSIN_SECRET_KEY_FILE": "/none"}, "TOCSIN_SECRET_KEY_FILE: cannot read /none: No such file or directory; correct the path", id="a file that is not there"),
        pytest.param({"TOCSIN_SECRET_KEY_FILE": "/proc/self/exe"}, "TOCSIN_SECRET_KEY_FILE: cannot read /proc/self/exe: it holds no UTF-8 text; correct the path", id="a file that is no text"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line_without_secrets(environ, line):
    with pytest.raises(ConfigError) as error:
        settings(environ)

    assert error.value.errors == [line]


def test_all_mistakes_are_reported_at_once():
    with pytest.raises(ConfigError) as error:
        settings({"TOCSIN_PORT": "x", "TOCSIN_LOG_LEVEL": "x", "TOCSIN_CONFIG_FILE": "/none"})

    assert [line.split(":")[0] for line in error.value.errors] == [
        "TOCSIN_CONFIG_FILE",
        "TOCSIN_LOG_LEVEL",
        "TOCSIN_PORT",
    ]
