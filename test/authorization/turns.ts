/** Lets a number of tasks run at once; one that waits for something else can give its turn away meanwhile. */
export class Turns {
  #free: number;
  readonly #waiting: (() => void)[] = [];

  constructor(atOnce: number) {
    this.#free = atOnce;
  }

  async during<Result>(task: () => Promise<Result>): Promise<Result> {
    await this.#take();
    try {
      return await task();
    } finally {
      this.#give();
    }
  }

  /** Called within `during`: others run while this waits. */
  async without(wait: () => Promise<void>): Promise<void> {
    this.#give();
    try {
      await wait();
    } finally {
      await this.#take();
    }
  }

  async #take(): Promise<void> {
    if (this.#free > 0) this.#free -= 1;
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }

  #give(): void {
    const next = this.#waiting.shift();
    if (next === undefined) this.#free += 1;
    else next();
  }
}
