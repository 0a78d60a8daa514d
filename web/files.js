// A model's files, written by publish/export.py, and the networks in them.
import { unpacked } from "./weights.js";

let ort;

/** Load ONNX Runtime once; a failed import is retried at the next call. */
export async function runtime() {
  return (ort ??= await import("onnxruntime").catch(explain)); // imported here, so that a failure can be shown
}

/** Throws why a module could not be loaded: some hosts send .mjs as text, which no browser runs. */
async function explain(error) {
  const { url, headers } = await get(import.meta.resolve("onnxruntime"));
  const type = headers.get("content-type");
  throw /javascript/.test(type) ? error : new Error(`${url} was sent as ${type}: this host must send .mjs as text/javascript`, { cause: "host" });
}

const TABLE = Uint32Array.from({ length: 256 }, (_, n) => {
  for (let k = 0; k < 8; k++) n = n & 1 ? 0xedb88320 ^ (n >>> 1) : n >>> 1;
  return n;
});

/** zlib's CRC-32 of bytes, as eight hexadecimal digits. */
function crc32(bytes) {
  let crc = -1;
  for (let i = 0; i < bytes.length; i++) crc = TABLE[(crc ^ bytes[i]) & 255] ^ (crc >>> 8);
  return (~crc >>> 0).toString(16).padStart(8, "0");
}

async function get(url, options) {
  const found = await fetch(url, options);
  if (!found.ok) throw new Error(`${found.url}: ${found.status}`);
  return found;
}

/** A model's files: each is fetched, checked and made a network once; a failure is retried at the next call. */
export class Files {
  constructor(folder, { files, sizes }) {
    Object.assign(this, { folder, digests: files, sizes, kept: {} });
  }

  /** The result of make(), cached; a failure is retried at the next call. */
  once(name, make) {
    return (this.kept[name] ??= make().catch((error) => {
      delete this.kept[name];
      throw error;
    }));
  }

  /** Fetch a file's bytes; an Error if its checksum is not model.json's. */
  bytes(name) {
    return this.once(name, async () => {
      const digest = this.digests[name];
      const found = await get(`${this.folder}/${name}?${digest}`);
      const bytes = new Uint8Array(await found.arrayBuffer());
      if (crc32(bytes) === digest) return bytes;
      throw new Error(`${this.folder}/${name} is from another export than model.json: copy the whole folder again`, { cause: "host" });
    });
  }

  /** The network with this name, ready to run. */
  network(name) {
    return this.once(name, async () => {
      const [ort, graph, halves] = await Promise.all([runtime(), this.bytes(`${name}.onnx`), this.bytes(`${name}.f16`)]);
      const data = new Uint8Array(unpacked(halves, this.sizes[name]).buffer);
      const session = await ort.InferenceSession.create(graph, {
        externalData: [{ path: name, data }],
        graphOptimizationLevel: "disabled", // publish/graph.py optimized it
      });
      for (const end of ["onnx", "f16"]) this.kept[`${name}.${end}`] = Promise.resolve(); // no longer needed
      return session;
    });
  }
}

/** [content of a folder's model.json, Files]. */
export async function open(folder) {
  const known = await (await get(`${folder}/model.json`, { cache: "no-cache" })).json();
  return [known, new Files(folder, known)];
}
