import { type ChildProcess, execFile, spawn } from "node:child_process";
import { createHmac } from "node:crypto";
import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { createInterface } from "node:readline";
import { promisify } from "node:util";

const run = promisify(execFile);
const binary = path.resolve(process.env.LEGER_SERVER_BIN ?? "../bin/leger-server");

/** A real leger-server with a database of its own. */
export class Server {
	readonly url: string;
	private constructor(
		private readonly data: string,
		private readonly address: string,
		private readonly flags: readonly string[],
		private child: ChildProcess,
	) {
		this.url = `http://${address}`;
	}

	static async start(flags: readonly string[] = ["--rate-limit", "0"]): Promise<Server> {
		const data = await mkdtemp(path.join(tmpdir(), "leger-web-"));
		const address = `127.0.0.1:${await freePort()}`;
		const child = await launch(data, address, flags);
		return new Server(data, address, flags, child);
	}

	/** As a power cut would. */
	async stop(): Promise<void> {
		const ended = new Promise((resolve) => this.child.once("exit", resolve));
		this.child.kill("SIGKILL");
		await ended;
	}

	/** Again on the same address and database. */
	async restart(flags: readonly string[] = this.flags): Promise<void> {
		this.child = await launch(this.data, this.address, flags);
	}

	async remove(): Promise<void> {
		if (this.child.exitCode === null && this.child.signalCode === null) await this.stop();
		await rm(this.data, { recursive: true });
	}

	/** The link that `leger auth login` would open. */
	async loginLink(email: string): Promise<string> {
		const args = ["login-link", "--data", this.data, "--listen", this.address, "--email", email];
		const { stdout } = await run(binary, args);
		return stdout.trim();
	}

	/** A link as loginLink gives it, made an hour ago. */
	async expiredLink(email: string): Promise<string> {
		const link = new URL(await this.loginLink(email));
		const [header = "", body = ""] = (link.searchParams.get("token") ?? "").split(".");
		const claims = JSON.parse(Buffer.from(body, "base64url").toString());
		const old = { ...claims, iat: claims.iat - 3600, exp: claims.exp - 3600 };
		const signed = `${header}.${Buffer.from(JSON.stringify(old)).toString("base64url")}`;
		const secret = (await readFile(path.join(this.data, "jwt.secret"), "utf8")).trim();
		const signature = createHmac("sha256", secret).update(signed).digest("base64url");
		link.searchParams.set("token", `${signed}.${signature}`);
		return link.href;
	}
}

/** Starts the program and waits until it says where it listens. */
async function launch(data: string, listen: string, flags: readonly string[]) {
	const child = spawn(binary, ["--data", data, "--listen", listen, ...flags], {
		stdio: ["ignore", "ignore", "pipe"],
	});
	const lines: string[] = [];
	for await (const line of createInterface({ input: child.stderr })) {
		lines.push(line);
		if (line.includes('"msg":"listening"')) {
			child.stderr.resume();
			return child;
		}
	}
	throw new Error(`leger-server did not start:\n${lines.join("\n")}`);
}

/** A port nobody listens on now: the server's own address is part of its public URL. */
async function freePort(): Promise<number> {
	const probe = createServer().listen(0, "127.0.0.1");
	await once(probe, "listening");
	const { port } = probe.address() as AddressInfo;
	probe.close();
	await once(probe, "close");
	return port;
}
