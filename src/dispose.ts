/** Things to be disposed of together, in the reverse order of their making. */
export class Scope implements Disposable {
  readonly #owned: Disposable[] = [];

  /** Takes over the care of a resource, and gives it back to be used. */
  own<Resource extends Disposable>(resource: Resource): Resource {
    this.#owned.push(resource);
    return resource;
  }

  [Symbol.dispose](): void {
    for (let resource = this.#owned.pop(); resource !== undefined; resource = this.#owned.pop())
      resource[Symbol.dispose]();
  }
}
