/** How much is sent: copies as packets are lost, fewer codebooks as the line fills up. */
const COPY_LAYERS = 4;
const [FEW, MANY] = [0.02, 0.1];
const [FULL, ROOM] = [0.06, 0.02]; // seconds of delay above the least
const [PATIENCE, TRIAL] = [5, 10]; // reports, one a second

/** Decides from reports as `ncodec.net.adapt` does, which has the reasons. */
export class RateControl {
  codebooks: number;
  copies = 1;
  private calm = PATIENCE - 1;
  private since = 0;
  private loss = 0;
  private least = Number.POSITIVE_INFINITY;

  constructor(private readonly most: number) {
    this.codebooks = most;
  }

  get copyLayers(): number {
    return Math.min(COPY_LAYERS, this.codebooks);
  }

  /** Takes the next report: the share that was lost, and seconds of lateness. */
  take(lost: number, late: number): void {
    this.least = Math.min(this.least + 0.001, late);
    const queue = late - this.least;
    this.since++;
    if (queue > FULL) {
      this.since = this.calm = 0;
      if (this.copies) this.copies = 0;
      else this.codebooks -= Math.min(Math.max(this.codebooks >> 2, 1), this.codebooks - 1);
      return;
    }
    if (queue > ROOM) this.since = 0;
    else if (this.since >= TRIAL && this.codebooks < this.most) {
      this.codebooks++;
      this.since = 0;
    }
    this.loss += 0.5 * (lost - this.loss);
    const worst = Math.max(this.loss, lost / 2);
    const wanted = worst < FEW ? 0 : worst <= MANY ? 1 : 3;
    this.calm = wanted >= this.copies ? 0 : this.calm + 1;
    if (wanted >= this.copies || this.calm >= PATIENCE) {
      this.copies = wanted;
      this.calm = 0;
    }
  }
}
