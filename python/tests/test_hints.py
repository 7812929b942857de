"""What errors advise is written as Python code, never as a command line."""

import ast

from model_manager import _native


def test_every_hint_is_written_for_python() -> None:
    hints = _native.hint_examples()
    assert len({kind for kind, _ in hints}) > 150
    for kind, text in hints:
        # The command line that was interrupted is the user's own.
        if kind != "go_on":
            assert "--" not in text and "model-manager " not in text, (kind, text)
        assert "<model>" not in text, (kind, text)


def test_an_action_is_a_call_of_the_manager() -> None:
    texts: dict[str, list[str]] = {}
    for kind, text in _native.hint_examples():
        texts.setdefault(kind, []).append(text)
    assert texts["collect_now"] == ["`m.gc(grace=0)` removes it with all else that nothing uses."]
    assert texts["run"] == ['Run `m.remove("tiny:q4_k_m")`.']
    assert texts["allow_network"] == ["To allow requests, drop `offline=True` and unset HF_HUB_OFFLINE."]
    assert texts["repair_with_network"] == ['With the network, run this again, or `m.repair("tiny:q4_k_m")`.']
    assert '"allowed_places"' not in texts["allow_places"][0] and "user's settings file" in texts["allow_places"][0]


def test_a_text_of_any_characters_is_a_literal_in_one_line() -> None:
    text = "".join(map(chr, range(0x300))) + '\\"\r\n\u2028\U0001f600'
    literal = _native.literal(text)
    assert ast.literal_eval(literal) == text
    assert not set(literal) & set("\r\n\0\x1b")
