// What bindings answer, on its way to Go: internal/cloudflare/cells.go reads this
// and says how it is laid out.

const NULL = 0;
const NUMBER = 1;
const TEXT = 2;

const encoder = new TextEncoder();

export class Cells {
	#bytes = new Uint8Array(1024);
	#at = 0;

	/** Puts null, a number, a boolean (as 0 or 1) or text. */
	put(value) {
		if (value === null || value === undefined) {
			this.#room(1);
			this.#bytes[this.#at++] = NULL;
		} else if (typeof value === "string") {
			this.#text(value);
		} else {
			this.#number(Number(value));
		}
	}

	/** Gives what was put. */
	bytes() {
		return this.#bytes.subarray(0, this.#at);
	}

	#number(value) {
		this.#room(9);
		this.#bytes[this.#at] = NUMBER;
		this.#view().setFloat64(this.#at + 1, value, true);
		this.#at += 9;
	}

	#text(value) {
		// UTF-8 takes at most three bytes for each unit of UTF-16.
		this.#room(5 + 3 * value.length);
		const { written } = encoder.encodeInto(value, this.#bytes.subarray(this.#at + 5));
		this.#bytes[this.#at] = TEXT;
		this.#view().setUint32(this.#at + 1, written, true);
		this.#at += 5 + written;
	}

	#room(more) {
		const needed = this.#at + more;
		if (needed <= this.#bytes.length) return;
		const grown = new Uint8Array(Math.max(needed, 2 * this.#bytes.length));
		grown.set(this.#bytes);
		this.#bytes = grown;
	}

	#view() {
		return new DataView(this.#bytes.buffer);
	}
}
