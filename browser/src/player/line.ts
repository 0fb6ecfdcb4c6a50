/** A WebRTC data channel between two pages, or a page and `ncodec call`; people carry descriptions. */
const LABEL = "ncodec";
const GATHER_SECONDS = 5;
/** Bytes that may wait to be sent; what is more is dropped, as by any queue on the way. */
const FULL = 4096;

interface Description {
  type: "offer" | "answer";
  sdp: string;
}

export class Line {
  /** Given datagrams and when they came, in seconds. */
  onmessage: (data: Uint8Array, at: number) => void = () => undefined;
  /** There is no way to the other side, or none any more. */
  onlost: () => void = () => undefined;
  private readonly peer = new RTCPeerConnection({ iceServers: [] });
  private channel: RTCDataChannel | undefined;

  constructor() {
    this.peer.ondatachannel = ({ channel }) => this.use(channel);
    this.peer.onconnectionstatechange = () => {
      if (this.peer.connectionState === "failed") this.onlost();
    };
  }

  /** Begins a call: returns the line that the other side needs. */
  async offer(): Promise<string> {
    this.use(this.peer.createDataChannel(LABEL, { ordered: false, maxRetransmits: 0 }));
    return this.describe(await this.peer.createOffer());
  }

  /** Takes what the other side has written; returns the answer if that was an offer. */
  async take(text: string): Promise<string | undefined> {
    const said = described(text);
    if (said.type === "offer" && this.channel) throw new Error("both sides have begun a call");
    if (said.type === "answer" && !this.channel) throw new Error("an answer to another offer");
    await this.peer.setRemoteDescription(said);
    if (said.type === "answer") return undefined;
    return this.describe(await this.peer.createAnswer());
  }

  send(data: Uint8Array): void {
    const { channel } = this;
    if (channel?.readyState === "open" && channel.bufferedAmount < FULL) {
      channel.send(data as Uint8Array<ArrayBuffer>);
    }
  }

  get open(): boolean {
    return this.channel?.readyState === "open";
  }

  close(): void {
    this.onlost = () => undefined;
    this.peer.close();
  }

  private use(channel: RTCDataChannel): void {
    this.channel = channel;
    channel.binaryType = "arraybuffer";
    channel.onclose = () => this.onlost();
    channel.onmessage = ({ data }: MessageEvent<unknown>) => {
      if (data instanceof ArrayBuffer) this.onmessage(new Uint8Array(data), performance.now() / 1000);
    };
  }

  private async describe(description: RTCSessionDescriptionInit): Promise<string> {
    const { peer } = this;
    await peer.setLocalDescription(description);
    await new Promise<void>((resolve) => {
      const look = (): void => {
        if (peer.iceGatheringState === "complete") resolve();
      };
      peer.onicegatheringstatechange = look;
      setTimeout(resolve, 1000 * GATHER_SECONDS);
      look();
    });
    const { type, sdp } = peer.localDescription!;
    return JSON.stringify({ type, sdp });
  }
}

function described(text: string): Description {
  let said: Partial<Description> | undefined;
  try {
    said = JSON.parse(text) as Partial<Description>;
  } catch {
    said = undefined;
  }
  const known = said?.type === "offer" || said?.type === "answer";
  if (!said || !known || typeof said.sdp !== "string") {
    throw new Error(`that is no line of a call: it begins with {"type": and ends with }`);
  }
  return said as Description;
}
