// The arithmetic of the model, in AssemblyScript. No relaxed SIMD, and no function of the browser's
// own: WebAssembly fixes every one of these operations to the bit, so that all browsers on all
// processors give the same samples and the same codes.
//
// Addresses are bytes in the module's memory; matrices are float32, row after row.

/** Takes memory, zeroed and for good. */
export function reserve(bytes: i32): usize {
  const at = heap.alloc(bytes + 15);
  memory.fill(at, 0, bytes + 15);
  return (at + 15) & ~15;
}

@inline
function half(bits: u32): f32 {
  const sign = (bits & 0x8000) << 16;
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  if (exponent == 0) {
    const value = <f32>fraction * <f32>5.960464477539063e-8; // 2^-24
    return sign ? -value : value;
  }
  if (exponent == 31) return reinterpret<f32>(sign | 0x7f800000 | (fraction << 13));
  return reinterpret<f32>(sign | ((exponent + 112) << 23) | (fraction << 13));
}

/** Widens float16 values. */
export function widen(source: usize, target: usize, count: i32): void {
  for (let i = 0; i < count; i++) {
    store<f32>(target + (<usize>i << 2), half(load<u16>(source + (<usize>i << 1))));
  }
}

/** Lays weights [n, k] out as `multiply` takes them: eight columns side by side, [n / 8][k][8]. */
export function pack(source: usize, target: usize, n: i32, k: i32): void {
  for (let row = 0; row < n; row++) {
    let at = target + (<usize>((row >> 3) * k * 8 + (row & 7)) << 2);
    for (let i = 0; i < k; i++) {
      store<f32>(at, load<f32>(source));
      source += 4;
      at += 32;
    }
  }
}

/**
 * y = x w + b for `rows` rows. x has rows of `k` values; y and b of `blocks` * 8.
 * Each sum runs over k in order, whatever the number of rows: a row alone gives the same bits.
 */
export function multiply(
  x: usize, w: usize, b: usize, y: usize, rows: i32, k: i32, blocks: i32,
): void {
  const stride: usize = <usize>blocks << 5;
  const width: usize = <usize>k << 2;
  for (let block = 0; block < blocks; block++) {
    const b0 = v128.load(b);
    const b1 = v128.load(b, 16);
    let from = x;
    let to = y;
    let row = 0;
    for (; row + 4 <= rows; row += 4) {
      let a0 = b0, a1 = b1, c0 = b0, c1 = b1, d0 = b0, d1 = b1, e0 = b0, e1 = b1;
      let at = w;
      const end = from + width;
      for (let p = from; p < end; p += 4) {
        const w0 = v128.load(at);
        const w1 = v128.load(at, 16);
        let s = v128.load32_splat(p);
        a0 = f32x4.add(a0, f32x4.mul(s, w0));
        a1 = f32x4.add(a1, f32x4.mul(s, w1));
        s = v128.load32_splat(p + width);
        c0 = f32x4.add(c0, f32x4.mul(s, w0));
        c1 = f32x4.add(c1, f32x4.mul(s, w1));
        s = v128.load32_splat(p + 2 * width);
        d0 = f32x4.add(d0, f32x4.mul(s, w0));
        d1 = f32x4.add(d1, f32x4.mul(s, w1));
        s = v128.load32_splat(p + 3 * width);
        e0 = f32x4.add(e0, f32x4.mul(s, w0));
        e1 = f32x4.add(e1, f32x4.mul(s, w1));
        at += 32;
      }
      v128.store(to, a0);
      v128.store(to, a1, 16);
      v128.store(to + stride, c0);
      v128.store(to + stride, c1, 16);
      v128.store(to + 2 * stride, d0);
      v128.store(to + 2 * stride, d1, 16);
      v128.store(to + 3 * stride, e0);
      v128.store(to + 3 * stride, e1, 16);
      from += 4 * width;
      to += 4 * stride;
    }
    for (; row < rows; row++) {
      let a0 = b0, a1 = b1;
      let at = w;
      const end = from + width;
      for (let p = from; p < end; p += 4) {
        const s = v128.load32_splat(p);
        a0 = f32x4.add(a0, f32x4.mul(s, v128.load(at)));
        a1 = f32x4.add(a1, f32x4.mul(s, v128.load(at, 16)));
        at += 32;
      }
      v128.store(to, a0);
      v128.store(to, a1, 16);
      from += width;
      to += stride;
    }
    w += width << 3;
    b += 32;
    y += 32;
  }
}

/** y[f] = the sum over i of x[f + i] taps[i], for rows of `width` values, a multiple of 4. */
export function convolve(
  x: usize, taps: usize, y: usize, rows: i32, width: i32, kernel: i32,
): void {
  const stride: usize = <usize>width << 2;
  for (let row = 0; row < rows; row++) {
    for (let c: usize = 0; c < stride; c += 16) {
      let sum = f32x4.splat(0);
      let from = x + c;
      let tap = taps + c;
      for (let i = 0; i < kernel; i++) {
        sum = f32x4.add(sum, f32x4.mul(v128.load(from), v128.load(tap)));
        from += stride;
        tap += stride;
      }
      v128.store(y + c, sum);
    }
    x += stride;
    y += stride;
  }
}

/** Brings rows to mean 0 and variance 1, then scales and shifts them; sums are float64. */
export function normalise(
  x: usize, y: usize, weight: usize, bias: usize, rows: i32, width: i32, epsilon: f64,
): void {
  const stride: usize = <usize>width << 2;
  for (let row = 0; row < rows; row++) {
    let sum: f64 = 0;
    let squares: f64 = 0;
    for (let i: usize = 0; i < stride; i += 4) {
      const value = <f64>load<f32>(x + i);
      sum += value;
      squares += value * value;
    }
    const mean = sum / <f64>width;
    const scale = 1.0 / Math.sqrt(Math.max(squares / <f64>width - mean * mean, 0) + epsilon);
    for (let i: usize = 0; i < stride; i += 4) {
      const value = (<f64>load<f32>(x + i) - mean) * scale;
      store<f32>(y + i, <f32>(value * <f64>load<f32>(weight + i) + <f64>load<f32>(bias + i)));
    }
    x += stride;
    y += stride;
  }
}

@inline
function term(sum: v128, t: v128, c: f64): v128 {
  return f64x2.add(f64x2.mul(sum, t), f64x2.splat(c));
}

// x P(x^2) / Q(x^2) for |x| <= 4.2, fitted to erf by iterated least squares: off by 2e-9 at most,
// and by 3e-9 beyond.
@inline
function erf(x: v128): v128 {
  x = f64x2.max(f64x2.min(x, f64x2.splat(4.2)), f64x2.splat(-4.2));
  const t = f64x2.mul(x, x);
  let p = f64x2.splat(-1.4196402020501204e-8);
  p = term(p, t, 4.886401062142471e-6);
  p = term(p, t, 3.8646848056732454e-4);
  p = term(p, t, 3.8421031066324705e-3);
  p = term(p, t, 5.43935329866683e-2);
  p = term(p, t, 1.8448432626808078e-1);
  p = term(p, t, 1.128379186345526);
  let q = f64x2.splat(6.501314636766912e-5);
  q = term(q, t, 1.315181043972733e-3);
  q = term(q, t, 1.5471886653490984e-2);
  q = term(q, t, 1.1381335088889884e-1);
  q = term(q, t, 4.9682857514422524e-1);
  q = term(q, t, 1);
  return f64x2.mul(x, f64x2.div(p, q));
}

@inline
function gelu2(x: v128): v128 {
  const e = erf(f64x2.mul(x, f64x2.splat(0.7071067811865476)));
  return f64x2.mul(f64x2.mul(f64x2.splat(0.5), x), f64x2.add(f64x2.splat(1), e));
}

/** GELU in its exact form, in place; `count` is a multiple of 4. */
export function gelu(x: usize, count: i32): void {
  const end = x + (<usize>count << 2);
  for (; x < end; x += 16) {
    const v = v128.load(x);
    const low = gelu2(f64x2.promote_low_f32x4(v));
    const high = gelu2(f64x2.promote_low_f32x4(i64x2.shuffle(v, v, 1, 0)));
    const a = f32x4.demote_f64x2_zero(low);
    const b = f32x4.demote_f64x2_zero(high);
    v128.store(x, i64x2.shuffle(a, b, 0, 2));
  }
}

/** x += scale y, for rows of `width` values, a multiple of 4. */
export function addScaled(x: usize, y: usize, scale: usize, rows: i32, width: i32): void {
  const stride: usize = <usize>width << 2;
  for (let row = 0; row < rows; row++) {
    for (let c: usize = 0; c < stride; c += 16) {
      const sum = f32x4.mul(v128.load(y + c), v128.load(scale + c));
      v128.store(x + c, f32x4.add(v128.load(x + c), sum));
    }
    x += stride;
    y += stride;
  }
}

/** Cosine and sine of 2 pi i / n, i < n, as pairs of float64. */
export function turns(target: usize, n: i32): void {
  for (let i = 0; i < n; i++) {
    const angle = 6.283185307179586 * <f64>i / <f64>n;
    store<f64>(target + (<usize>i << 4), NativeMath.cos(angle));
    store<f64>(target + (<usize>i << 4), NativeMath.sin(angle), 8);
  }
}

/**
 * The complex Fourier transform of n float64 pairs, n of any small factors: Stockham's, by whatever
 * factor comes. Uses `x` and `y` in turn; returns the one that holds the result. `sign` -1 is the
 * forward transform, 1 the inverse (not divided by n).
 */
export function fourier(x: usize, y: usize, twiddles: usize, n: i32, sign: f64): usize {
  let left = n;
  let done = 1;
  while (left > 1) {
    let factor = 2;
    if (left % 4 == 0) factor = 4;
    else while (left % factor) factor++;
    const rest = left / factor;
    if (factor == 4) step4(x, y, twiddles, n, rest, done, sign);
    else step(x, y, twiddles, n, factor, rest, done, sign);
    const swap = x;
    x = y;
    y = swap;
    done *= factor;
    left = rest;
  }
  return x;
}

function step4(x: usize, y: usize, twiddles: usize, n: i32, rest: i32, done: i32, sign: f64): void {
  const from: usize = <usize>(rest * done) << 4;
  const to: usize = <usize>done << 4;
  for (let p = 0; p < rest; p++) {
    const w = twiddles + (<usize>(p * done) << 4);
    const w2 = twiddles + (<usize>(2 * p * done) << 4);
    const w3 = twiddles + (<usize>(3 * p * done) << 4);
    const c1 = load<f64>(w), s1 = sign * load<f64>(w, 8);
    const c2 = load<f64>(w2), s2 = sign * load<f64>(w2, 8);
    const c3 = load<f64>(w3), s3 = sign * load<f64>(w3, 8);
    let a = x + (<usize>(p * done) << 4);
    let b = y + (<usize>(p * 4 * done) << 4);
    for (let q = 0; q < done; q++) {
      const r0 = load<f64>(a), i0 = load<f64>(a, 8);
      const r1 = load<f64>(a + from), i1 = load<f64>(a + from, 8);
      const r2 = load<f64>(a + 2 * from), i2 = load<f64>(a + 2 * from, 8);
      const r3 = load<f64>(a + 3 * from), i3 = load<f64>(a + 3 * from, 8);
      const er = r0 + r2, ei = i0 + i2, or = r0 - r2, oi = i0 - i2;
      const fr = r1 + r3, fi = i1 + i3;
      const gr = -sign * (i1 - i3), gi = sign * (r1 - r3);
      store<f64>(b, er + fr);
      store<f64>(b, ei + fi, 8);
      put(b + to, or + gr, oi + gi, c1, s1);
      put(b + 2 * to, er - fr, ei - fi, c2, s2);
      put(b + 3 * to, or - gr, oi - gi, c3, s3);
      a += 16;
      b += 16;
    }
  }
}

@inline
function put(at: usize, re: f64, im: f64, c: f64, s: f64): void {
  store<f64>(at, re * c - im * s);
  store<f64>(at, re * s + im * c, 8);
}

function step(
  x: usize, y: usize, twiddles: usize, n: i32, factor: i32, rest: i32, done: i32, sign: f64,
): void {
  const from = rest * done;
  const turn = n / factor;
  for (let p = 0; p < rest; p++) {
    for (let j = 0; j < factor; j++) {
      const w = twiddles + (<usize>(p * j * done) << 4);
      const c = load<f64>(w), s = sign * load<f64>(w, 8);
      for (let q = 0; q < done; q++) {
        let re: f64 = 0;
        let im: f64 = 0;
        for (let i = 0; i < factor; i++) {
          const v = x + (<usize>(p * done + q + i * from) << 4);
          const t = twiddles + (<usize>((i * j) % factor * turn) << 4);
          const a = load<f64>(v), b = load<f64>(v, 8);
          const u = load<f64>(t), z = sign * load<f64>(t, 8);
          re += a * u - b * z;
          im += a * z + b * u;
        }
        put(y + (<usize>((p * factor + j) * done + q) << 4), re, im, c, s);
      }
    }
  }
}

/** The MDCT with a sine window, as weights [hop, 2 hop] or, turned, [2 hop, hop]. */
export function mdct(target: usize, hop: i32, turned: bool): void {
  const scale = Math.sqrt(2.0 / <f64>hop);
  const pi = 3.141592653589793;
  for (let n = 0; n < 2 * hop; n++) {
    const window = NativeMath.sin(pi / <f64>(2 * hop) * (<f64>n + 0.5));
    for (let k = 0; k < hop; k++) {
      const phase = pi / <f64>hop * ((<f64>n + 0.5 + <f64>hop / 2) * (<f64>k + 0.5));
      const value = <f32>(scale * window * NativeMath.cos(phase));
      store<f32>(target + (<usize>(turned ? n * hop + k : k * 2 * hop + n) << 2), value);
    }
  }
}

/** Hann's window of `size` values, times `scale`. */
export function hann(target: usize, size: i32, scale: f64): void {
  for (let i = 0; i < size; i++) {
    const value = 0.5 - 0.5 * NativeMath.cos(6.283185307179586 * <f64>i / <f64>size);
    store<f32>(target + (<usize>i << 2), <f32>(<f64><f32>value * scale));
  }
}

@inline
function rate(hertz: f64): f64 {
  return 21.4 * NativeMath.log10(1 + 0.00437 * hertz);
}

/**
 * Triangles evenly spaced in ERB-rate (Glasberg and Moore, 1990), as weights [bands, bins] whose
 * rows sum to one.
 */
export function erbMeans(target: usize, bins: i32, bands: i32, sampleRate: f64): void {
  const first = <f64><f32>rate(50);
  const last = rate(sampleRate / 2) - 0.5;
  const step = (last - first) / <f64>(bands - 1);
  for (let band = 0; band < bands; band++) {
    const centre = first + step * <f64>band;
    let sum: f64 = 0;
    for (let bin = 0; bin < bins; bin++) {
      const at = rate(sampleRate / 2 * <f64>bin / <f64>(bins - 1));
      let value = Math.max(1 - Math.abs(at - centre) / step, 0);
      if (band == 0 && at < centre) value = 1;
      if (band == bands - 1 && at > centre) value = 1;
      sum += <f64><f32>value;
      store<f32>(target + (<usize>(band * bins + bin) << 2), <f32>value);
    }
    for (let bin = 0; bin < bins; bin++) {
      const at = target + (<usize>(band * bins + bin) << 2);
      store<f32>(at, <f32>(<f64>load<f32>(at) / sum));
    }
  }
}

/** Powers of the bins of a frame of `size` samples under a window, a floor added. */
export function power(
  frame: usize, window: usize, target: usize, x: usize, y: usize, twiddles: usize, size: i32,
): void {
  for (let i = 0; i < size; i++) {
    const at = <usize>i << 2;
    store<f64>(x + (at << 2), <f64>(load<f32>(frame + at) * load<f32>(window + at)));
    store<f64>(x + (at << 2), 0, 8);
  }
  const z = fourier(x, y, twiddles, size, -1);
  for (let i = 0; i <= size >> 1; i++) {
    const re = <f64><f32>load<f64>(z + (<usize>i << 4));
    const im = <f64><f32>load<f64>(z + (<usize>i << 4), 8);
    store<f32>(target + (<usize>i << 2), <f32>(re * re + im * im));
  }
}

/** target = scale (log(source + 1e-9) / 2 + offset): log magnitudes from powers. */
export function logs(source: usize, target: usize, count: i32, offset: f32, scale: f32): void {
  for (let i = 0; i < count; i++) {
    const value = <f64>(load<f32>(source + (<usize>i << 2)) + <f32>1e-9);
    const log = <f32>0.5 * <f32>NativeMath.log(value);
    store<f32>(target + (<usize>i << 2), (log + offset) * scale);
  }
}

/** target = scale x / sqrt(|x| + 1e-4). */
export function compand(source: usize, target: usize, count: i32, scale: f32): void {
  for (let i = 0; i < count; i++) {
    const x = load<f32>(source + (<usize>i << 2));
    const value = x / Mathf.sqrt(Mathf.abs(x) + <f32>1e-4);
    store<f32>(target + (<usize>i << 2), scale * value);
  }
}

/** target = (a + b) (|a + b| + 0.02): MDCT coefficients of the two paths, expanded. */
export function expand(a: usize, b: usize, target: usize, count: i32): void {
  for (let i = 0; i < count; i++) {
    const at = <usize>i << 2;
    const x = load<f32>(a + at) + load<f32>(b + at);
    store<f32>(target + at, x * (Mathf.abs(x) + <f32>0.02));
  }
}

/**
 * A frame of samples under a window, from log magnitudes `a` + `b` (at most 2.4) and phases of its
 * size / 2 + 1 bins.
 */
export function polar(
  a: usize, b: usize, phases: usize, window: usize, target: usize,
  x: usize, y: usize, twiddles: usize, size: i32,
): void {
  const half = size >> 1;
  for (let i = 0; i <= half; i++) {
    const at = <usize>i << 2;
    const log = Mathf.min(load<f32>(a + at) + load<f32>(b + at), <f32>2.4);
    const magnitude = <f64><f32>NativeMath.exp(<f64>log);
    const phase = <f64>load<f32>(phases + at);
    const re = magnitude * NativeMath.cos(phase);
    const im = i == 0 || i == half ? 0 : magnitude * NativeMath.sin(phase);
    const to = x + (<usize>i << 4);
    store<f64>(to, re);
    store<f64>(to, im, 8);
    if (i > 0 && i < half) {
      const mirror = x + (<usize>(size - i) << 4);
      store<f64>(mirror, re);
      store<f64>(mirror, -im, 8);
    }
  }
  const z = fourier(x, y, twiddles, size, 1);
  for (let i = 0; i < size; i++) {
    const at = <usize>i << 2;
    const value = <f32>(load<f64>(z + (<usize>i << 4)) / <f64>size);
    store<f32>(target + at, value * load<f32>(window + at));
  }
}

/** target += source. */
export function add(target: usize, source: usize, count: i32): void {
  for (let i = 0; i < count; i++) {
    const at = <usize>i << 2;
    store<f32>(target + at, load<f32>(target + at) + load<f32>(source + at));
  }
}

/** -e e / 2 of each row of `width` values: what the search of a codebook starts from. */
export function halves(source: usize, target: usize, rows: i32, width: i32): void {
  for (let row = 0; row < rows; row++) {
    let sum: f32 = 0;
    for (let i = 0; i < width; i++) {
      const value = load<f32>(source);
      sum += value * value;
      source += 4;
    }
    store<f32>(target + (<usize>row << 2), <f32>-0.5 * sum);
  }
}

/** The place of the largest of `count` values, the first of equals. */
export function largest(x: usize, count: i32): i32 {
  let best = load<f32>(x);
  let at = 0;
  for (let i = 1; i < count; i++) {
    const value = load<f32>(x + (<usize>i << 2));
    if (value > best) {
      best = value;
      at = i;
    }
  }
  return at;
}

/** x -= y. */
export function subtract(x: usize, y: usize, count: i32): void {
  for (let i = 0; i < count; i++) {
    const at = <usize>i << 2;
    store<f32>(x + at, load<f32>(x + at) - load<f32>(y + at));
  }
}
