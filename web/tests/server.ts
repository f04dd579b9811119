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
		private readonly env: NodeJS.ProcessEnv,
		private child: ChildProcess,
	) {
		this.url = `http://${address}`;
	}

	static async start(
		flags: readonly string[] = ["--rate-limit", "0"],
		env: NodeJS.ProcessEnv = {},
	): Promise<Server> {
		const data = await mkdtemp(path.join(tmpdir(), "leger-web-"));
		const address = `127.0.0.1:${await freePort()}`;
		const child = await launch(data, address, flags, env);
		return new Server(data, address, flags, env, child);
	}

	/** As a power cut would. */
	async stop(): Promise<void> {
		const ended = new Promise((resolve) => this.child.once("exit", resolve));
		this.child.kill("SIGKILL");
		await ended;
	}

	/** Again on the same address and database. */
	async restart(flags: readonly string[] = this.flags): Promise<void> {
		this.child = await launch(this.data, this.address, flags, this.env);
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

	/** What the operator does on the server's machine; `args` are those of leger-server. */
	async operate(...args: string[]): Promise<void> {
		await run(binary, [...args, "--data", this.data]);
	}

	/** A link as loginLink gives it, made an hour ago. */
	async expiredLink(email: string): Promise<string> {
		const link = new URL(await this.loginLink(email));
		link.searchParams.set(
			"token",
			await this.token(email, (claims) => ({ iat: claims.iat - 3600, exp: claims.exp - 3600 })),
		);
		return link.href;
	}

	/** The token of a machine's command line, by which it reports. */
	async machineToken(email: string, device: string): Promise<string> {
		return await this.token(email, (claims) => ({
			aud: this.url,
			use: undefined,
			iss: "leger-cli",
			jti: crypto.randomUUID(),
			device_id: device,
			exp: claims.iat + 3600,
		}));
	}

	/** Signs a link's claims with some of them changed. */
	private async token(
		email: string,
		change: (claims: { iat: number; exp: number }) => object,
	): Promise<string> {
		const link = new URL(await this.loginLink(email));
		const [header = "", body = ""] = (link.searchParams.get("token") ?? "").split(".");
		const claims = JSON.parse(Buffer.from(body, "base64url").toString());
		const changed = JSON.stringify({ ...claims, ...change(claims) });
		const signed = `${header}.${Buffer.from(changed).toString("base64url")}`;
		const secret = (await readFile(path.join(this.data, "jwt.secret"), "utf8")).trim();
		return `${signed}.${createHmac("sha256", secret).update(signed).digest("base64url")}`;
	}

	/** What `leger secrets sync` and `leger deploy install` report on a machine. */
	async report(email: string, device: string, report: object): Promise<void> {
		const response = await fetch(`${this.url}/api/hosts/${device}`, {
			method: "PUT",
			headers: {
				"Content-Type": "application/json",
				Authorization: `Bearer ${await this.machineToken(email, device)}`,
			},
			body: JSON.stringify({ name: device, cli_version: "0.1.0", ...report }),
		});
		if (!response.ok) throw new Error(`report of ${device}: ${response.status} ${await response.text()}`);
	}
}

/** Starts the program and waits until it says where it listens. */
async function launch(data: string, listen: string, flags: readonly string[], env: NodeJS.ProcessEnv) {
	const child = spawn(binary, ["--data", data, "--listen", listen, ...flags], {
		stdio: ["ignore", "ignore", "pipe"],
		env: { ...process.env, ...env },
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
export async function freePort(): Promise<number> {
	const probe = createServer().listen(0, "127.0.0.1");
	await once(probe, "listening");
	const { port } = probe.address() as AddressInfo;
	probe.close();
	await once(probe, "close");
	return port;
}
