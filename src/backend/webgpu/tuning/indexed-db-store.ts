/** What a tuner found out, in the browser's IndexedDB. */
import type { TuningStore } from './store.js';

const TABLE = 'tuning';

const settled = <T>(request: IDBRequest<T>): Promise<T> =>
  new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });

class TuningDatabase implements TuningStore {
  readonly #database: IDBDatabase;

  constructor(database: IDBDatabase) {
    this.#database = database;
  }

  #table(mode: IDBTransactionMode): IDBObjectStore {
    return this.#database.transaction(TABLE, mode).objectStore(TABLE);
  }

  async get(key: string): Promise<string | undefined> {
    const value: unknown = await settled(this.#table('readonly').get(key)).catch(() => undefined);
    return typeof value === 'string' ? value : undefined;
  }

  async set(key: string, value: string): Promise<void> {
    await settled(this.#table('readwrite').put(value, key)).catch(() => undefined);
  }
}

/**
 * The page's store, made the first time: one for each origin and name.
 * @throws DOMException where the browser keeps nothing, such as in some private windows.
 */
export async function openTuningDatabase(name = 'kronograd'): Promise<TuningStore> {
  const request = indexedDB.open(name, 1);
  request.onupgradeneeded = () => request.result.createObjectStore(TABLE);
  return new TuningDatabase(await settled(request));
}
