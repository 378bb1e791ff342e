import io

from oci_pull.cli.failure import report
from oci_pull.errors import OciPullError


def test_an_error_for_people_is_a_line_and_what_to_try() -> None:
    stream = io.StringIO()
    report(OciPullError("it broke", hint="wait"), stream)
    assert stream.getvalue() == "error: it broke\n  try: wait\n"
