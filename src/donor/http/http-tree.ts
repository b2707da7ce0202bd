/**
 * HttpTree: a tree on a web server that mirrors the target's root: `/etc/hosts` of the target is `URL/etc/hosts`.
 *
 * A path of the target is turned into one URL below the tree's, byte for byte, each name escaped; names that mean something to a server
 * ("..", "", a slash in a name) are no paths here. A redirect may lead anywhere: the server is the user's choice, the path is not.
 */
import { StorageError } from "../../base/index.ts";
import { components } from "../directory-donor.ts";
import type { Donor, DonorFile } from "../donor.ts";
import { httpFile } from "./http-file.ts";
import type { HttpOptions } from "./http-request.ts";
import { openHttpResource, parseUrl, type HttpResource } from "./http-resource.ts";

/** Longest URL that is asked for: servers refuse longer ones. */
const LONGEST = 8000;

class HttpTree implements Donor {
  readonly name: string;
  readonly kind = "directory";
  readonly #options: HttpOptions;
  /** Open files by path: each is opened once, so that its version is one. */
  readonly #known = new Map<string, HttpResource | undefined>();

  constructor(name: string, options: HttpOptions) {
    this.name = name;
    this.#options = options;
  }

  async file(path: string): Promise<DonorFile | undefined> {
    const names = components(path);
    if (names === undefined) return undefined;
    const url = new URL(this.name);
    const place = names.map(escaped).join("/");
    if (url.href.length + place.length > LONGEST) return undefined;
    url.pathname = `${url.pathname}${place}`;
    if (!this.#known.has(path)) this.#known.set(path, await this.#open(url));
    const resource = this.#known.get(path);
    return resource === undefined ? undefined : httpFile(resource);
  }

  async #open(url: URL): Promise<HttpResource | undefined> {
    try {
      return await openHttpResource(url.href, this.#options);
    } catch (error) {
      if (error instanceof StorageError && error.code === "ENOENT") return undefined;
      throw error;
    }
  }

  volume(): undefined {
    return undefined;
  }

  close(): void {
    this.#known.clear();
  }
}

/** The bytes of a name as they may stand in a URL. */
function escaped(name: Uint8Array): string {
  let text = "";
  for (const byte of name) {
    const character = String.fromCharCode(byte);
    text += /[A-Za-z0-9._~-]/.test(character)
      ? character
      : `%${byte.toString(16).toUpperCase().padStart(2, "0")}`;
  }
  return text;
}

/**
 * A tree on a server as a donor. Nothing is asked before the first file is.
 *
 * @param name its URL, ending in "/"
 * @throws {RangeError} where it is none
 */
export function httpTreeDonor(name: string, options: HttpOptions = {}): Donor {
  const url = parseUrl(name);
  if (!url.pathname.endsWith("/"))
    throw new RangeError(`Want a URL that ends in "/" for a tree: got "${name}"`);
  return new HttpTree(name, options);
}
