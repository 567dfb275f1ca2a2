/** Never the number of an entry: a slot that was freed, where a search goes on. */
const freed = 0xffff_ffff;
const empty = 0;

/**
 * Finds numbers (0 to 2^32 - 3) by hash: open addressing with linear probing over typed arrays, 16 to 32 bytes an entry
 * and nothing for the garbage collector to walk. What the numbers stand for, and so what equals what, the caller knows.
 */
export class HashIndex {
  #numbers = new Uint32Array(16); // each one more than its number, so that 0 is empty
  #hashes = new Uint32Array(16);
  #used = 0;

  /** The first number under this hash that `is` accepts. */
  find(hash: number, is: (number: number) => boolean): number | undefined {
    const slot = this.#slotOf(hash, is);
    return slot === undefined ? undefined : (this.#numbers[slot] as number) - 1;
  }

  /** Adds a number that is not there yet. */
  add(hash: number, number: number): void {
    if (this.#used * 2 >= this.#numbers.length) this.#grow();
    this.#put(hash >>> 0, number + 1);
  }

  remove(hash: number, number: number): void {
    const slot = this.#slotOf(hash, (other) => other === number);
    if (slot !== undefined) this.#numbers[slot] = freed;
  }

  *numbers(): Generator<number> {
    for (const entry of this.#numbers) if (entry !== empty && entry !== freed) yield entry - 1;
  }

  #slotOf(hash: number, is: (number: number) => boolean): number | undefined {
    const [numbers, hashes, wanted] = [this.#numbers, this.#hashes, hash >>> 0];
    const mask = numbers.length - 1;
    for (let slot = wanted & mask; numbers[slot] !== empty; slot = (slot + 1) & mask) {
      const entry = numbers[slot] as number;
      if (entry !== freed && hashes[slot] === wanted && is(entry - 1)) return slot;
    }
    return undefined;
  }

  #put(hash: number, entry: number): void {
    const mask = this.#numbers.length - 1;
    let slot = hash & mask;
    while (this.#numbers[slot] !== empty) slot = (slot + 1) & mask;
    this.#numbers[slot] = entry;
    this.#hashes[slot] = hash;
    this.#used += 1;
  }

  /** Twice as many slots, or the same when most were freed ones. */
  #grow(): void {
    const [numbers, hashes] = [this.#numbers, this.#hashes];
    const live = [...this.numbers()].length;
    const size = live * 4 > numbers.length ? numbers.length * 2 : numbers.length;
    this.#numbers = new Uint32Array(size);
    this.#hashes = new Uint32Array(size);
    this.#used = 0;
    numbers.forEach((entry, slot) => {
      if (entry !== empty && entry !== freed) this.#put(hashes[slot] as number, entry);
    });
  }
}
