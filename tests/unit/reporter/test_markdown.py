"""The report as Markdown: what comes from outside is text in it and nothing else."""

from tests.support.sorted_runs import REPORT, make_unsortable_record

from spikefleet.core.rooms.reporting import ReportTask
from spikefleet.reporter.markdown import format_markdown
from spikefleet.reporter.record import Material, build_record

HOSTILE = "/d/<script>alert(1)</script>\x1b[2J is < 5 kHz"


def test_words_from_outside_bring_no_html_and_steer_no_terminal() -> None:
    asked = make_unsortable_record()
    asked["run"]["failure"]["message"] = HOSTILE
    text = format_markdown(build_record(ReportTask(asked, REPORT), Material(), {}))
    assert "/d/&lt;script>alert(1)&lt;/script>\N{REPLACEMENT CHARACTER}[2J is < 5 kHz" in text
