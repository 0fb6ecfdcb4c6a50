"""Calls over a data channel: two ends in this process, and descriptions that are none."""

import json
import sys

import pytest

from ncodec.errors import ArgumentError
from ncodec.net.bad_line import Conditions
from tests.browser import opened
from tests.net.files import talk


@pytest.fixture
def ends():
    pytest.importorskip("aiortc", reason="the extra `call` is not installed")
    from ncodec.net.channel import Channel

    made = Channel(), Channel(conditions=Conditions(loss=0.05, jitter=0.01, seed=1))
    for each in made:
        each.start()
    yield made
    for each in made:
        each.close()


def test_two_ends_talk_over_a_data_channel(ends, tmp_path, model):
    one, other = ends
    offer = one.offer()
    said = json.loads(offer)
    assert (said["type"], "webrtc-datachannel" in said["sdp"]) == ("offer", True)
    assert "\n" not in offer
    if "a=candidate" not in said["sdp"]:
        pytest.skip("this machine has no network but loopback, which ICE leaves out")
    one.accept(other.answer(offer))
    talk(tmp_path, model, one, other)
    assert one._channel.ordered is other._channel.ordered is False
    assert one._channel.maxRetransmits == other._channel.maxRetransmits == 0


MIRROR = """<script>
async function answer(offer) {
  window.peer = new RTCPeerConnection();
  peer.ondatachannel = ({channel}) => {
    window.told = [channel.ordered, channel.maxRetransmits];
    channel.binaryType = "arraybuffer";
    channel.onmessage = ({data}) => channel.send(data);
  };
  await peer.setRemoteDescription(offer);
  await peer.setLocalDescription(await peer.createAnswer());
  while (peer.iceGatheringState !== "complete") await new Promise(go => setTimeout(go, 20));
  return JSON.stringify(peer.localDescription);
}
</script>"""


def test_a_call_goes_to_a_browser_and_back(ends, tmp_path, model):
    """A page sends back what it gets: a call with oneself, through Chromium's data channel."""
    page = tmp_path / "mirror.html"
    page.write_text(MIRROR)
    offer = ends[0].offer()
    if "a=candidate" not in offer:
        pytest.skip("this machine has no network but loopback, which ICE leaves out")
    with opened(page) as browser:
        script = "answer(JSON.parse(arguments[0])).then(arguments[1])"
        ends[0].accept(browser.execute_async_script(script, offer))
        talk(tmp_path, model, ends[0])
        assert browser.execute_script("return told") == [False, 0]


@pytest.mark.parametrize(
    "text",
    ["", "hello", "[" * 100_000, "[]", "{}", '{"type": "answer", "sdp": ""}', '{"type": "offer"}',
     '{"type": "offer", "sdp": 5}', '{"type": "offer", "sdp": "v=0"}',
     json.dumps({"type": "offer", "sdp": "v=0\r\nm=application x y z\r\n"}),
     json.dumps({"type": "offer", "sdp": "a" * 70_000})],
)  # fmt: skip
def test_what_is_no_offer_is_refused_in_a_line(ends, text):
    with pytest.raises(ArgumentError) as raised:
        ends[0].answer(text)
    assert "\n" not in str(raised.value)


def test_an_answer_needs_an_offer(ends):
    with pytest.raises(ArgumentError, match="nothing was offered"):
        ends[0].accept('{"type": "answer", "sdp": "v=0"}')


def test_without_the_package_it_is_said_what_to_install(monkeypatch):
    from ncodec.net.channel import Channel

    monkeypatch.setitem(sys.modules, "aiortc", None)
    with pytest.raises(ArgumentError, match=r"pip install aiortc.* Python 3\.11"):
        Channel()
