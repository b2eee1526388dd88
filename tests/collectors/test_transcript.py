"""The transcript keeps what was said, within its limits, and never a secret."""

import gc

from collectors.secret import Secret
from collectors.transcript import LINES, ROOM, Transcript, lines_of


def quiet() -> float:
    return 0.0


def shown(*said: bytes | str, secrets: tuple[str, ...] = ()) -> list[str]:
    transcript = Transcript(quiet)
    for secret in secrets:
        transcript.hide(Secret(secret))
    for each in said:
        transcript.note("<", each)
    return [line.removeprefix(" 0.000 < ") for line in transcript.lines()]


def test_lines_carry_the_seconds_since_the_attempt_began() -> None:
    times = iter((100.0, 100.25, 101.5))
    transcript = Transcript(lambda: next(times))
    transcript.note(">", "EHLO")
    transcript.note("<", b"250-a\r\n250 b")
    assert transcript.lines() == (" 0.250 > EHLO", " 1.500 < 250-a", " 1.500 < 250 b")


def test_the_last_line_end_is_no_line() -> None:
    assert shown(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\n") == ["GET / HTTP/1.1", "Host: x", ""]


def test_what_is_not_printable_is_escaped_line_by_line() -> None:
    assert shown(b"a\0\r\n\xff\n\xe6\x97\xa5", "\u202e\ud800") == [r"a\x00", r"\xff", "日", r"\u202e\ud800"]


def test_a_secret_is_hidden_wherever_it_is_and_the_longer_of_two_first() -> None:
    assert shown(b"my pass and my password", secrets=("pass", "password")) == ["my *** and my ***"]
    assert shown("hunter2" * 3, secrets=("hunter2", "")) == ["*********"]


def test_a_secret_across_a_cut_does_not_show_its_beginning() -> None:
    for before in range(190, 200):
        transcript = Transcript(quiet)
        transcript.hide(Secret("hunter2"))
        assert "h" not in transcript.show("x" * before + "hunter2" + "x" * 50)
        text = "\n".join(shown(b"x" * (before - 195 + ROOM // 2) + b"hunter2" * 3 + b"x" * 50, secrets=("hunter2",)))
        assert "h" not in text


def test_a_long_answer_leaves_room_for_what_was_said_last() -> None:
    transcript = Transcript(quiet)
    for said in (b"220 " + b"x" * 4000, b"250 " + b"y" * 4000, b"550 no"):
        transcript.note("<", said)
    recording = transcript.recording(1000)
    assert len(recording) < 1100
    assert lines_of(recording)[-1].endswith("550 no")
    assert all(line.endswith("...") for line in lines_of(recording)[:2])


def test_a_recording_that_is_full_says_so() -> None:
    transcript = Transcript(quiet)
    for _ in range(100):
        transcript.note("<", b"x" * 20)
    recording = transcript.recording(200)
    assert len(recording) < 250
    assert lines_of(recording)[-1] == "..."


def test_a_cut_is_never_within_a_character() -> None:
    for limit in range(10, 16):
        transcript = Transcript(quiet)
        transcript.note("<", "日本語日本語".encode())
        (line,) = lines_of(transcript.recording(2 * limit))
        assert "\\x" not in line


def test_a_recording_is_no_work_for_the_garbage_collector() -> None:
    assert not gc.is_tracked(Transcript(quiet).recording())


def test_it_is_bounded_in_bytes_and_lines() -> None:
    lines = shown(b"x" * 100_000, b"more")
    assert len(lines) == 2
    assert len(lines[0]) < ROOM + 10
    assert lines[-1] == "..."
    assert len(shown(b"\nx" * 4_000)) == LINES + 1
    assert sum(map(len, shown(*[b"x" * 100] * 1000))) < 2 * ROOM
