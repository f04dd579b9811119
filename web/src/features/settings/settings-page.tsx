import { useQuery } from "@tanstack/react-query";
import { LogOut, TriangleAlert } from "lucide-react";
import type { ReactNode } from "react";
import { type Backup, type User, userQuery } from "#api/queries.ts";
import { Button } from "#ui/button.tsx";
import { CategorySection } from "#ui/category-section.tsx";
import { CopyButton } from "#ui/copy-button.tsx";
import { PageHeader, PageLayout } from "#ui/page.tsx";
import { type Theme, useTheme } from "#ui/preferences.ts";
import { SkeletonRows } from "#ui/states.tsx";
import { Time } from "#ui/time.tsx";
import { DeleteAccountSection } from "./delete-account-section.tsx";
import { DisplayNameSection } from "./display-name-section.tsx";
import { useSignOut } from "./sign-out.ts";
import { SignedInSection } from "./signed-in-section.tsx";

export function SettingsPage() {
	const user = useQuery(userQuery).data;
	const signOut = useSignOut();
	return (
		<PageLayout>
			<PageHeader
				title="Settings"
				description="Manage your account and preferences"
				action={
					<Button busy={signOut.isPending} onClick={() => signOut.mutate()}>
						<LogOut className="size-4" aria-hidden />
						Sign out
					</Button>
				}
			/>
			{user === undefined ? (
				<SkeletonRows rows={4} />
			) : (
				<div className="divide-y divide-line">
					<ProfileSection user={user} />
					<LegerIdSection user={user} />
					<DisplayNameSection user={user} />
					<ThemeSection />
					<SignedInSection />
					{user.backup && <BackupSection backup={user.backup} />}
					<DeleteAccountSection user={user} />
				</div>
			)}
		</PageLayout>
	);
}

function ProfileSection({ user }: { user: User }) {
	return (
		<CategorySection title="Profile" description="Your Leger account information">
			<dl className="grid grid-cols-[auto_minmax(0,1fr)] gap-x-6 gap-y-1">
				<dt className="text-muted">Email</dt>
				<dd className="font-medium break-all">{user.email}</dd>
				<dt className="text-muted">Tailnet</dt>
				<dd className="font-medium break-all">{user.tailnet}</dd>
				<dt className="text-muted">Here since</dt>
				<dd>
					<Time at={user.created_at} />
				</dd>
			</dl>
		</CategorySection>
	);
}

function BackupSection({ backup }: { backup: Backup }) {
	return (
		<CategorySection title="Server backup" description="What was saved of this server's data">
			<div className="flex flex-col gap-2">
				{backup.made_at === null ? (
					<Warning command="leger-server backup FILE --with-keys --passphrase">
						This server has never been backed up. If its disk is lost, so is every secret.
					</Warning>
				) : (
					<p>
						Last backed up <Time at={backup.made_at} />
					</p>
				)}
				{backup.keys_saved ? null : (
					<Warning command="leger-server recovery-sheet">
						The encryption key lies only beside the database. Without it nobody can read the secrets.
					</Warning>
				)}
			</div>
		</CategorySection>
	);
}

function Warning({ command, children }: { command: string; children: ReactNode }) {
	return (
		<div className="flex flex-col gap-1 rounded-md border border-line-strong bg-raised px-3 py-2">
			<p className="flex items-start gap-2">
				<TriangleAlert className="mt-0.5 size-4 shrink-0" aria-hidden />
				<span>{children}</span>
			</p>
			<p className="text-sm text-muted">
				On the server's machine: <code className="font-mono break-all">{command}</code>
			</p>
		</div>
	);
}

function LegerIdSection({ user }: { user: User }) {
	return (
		<CategorySection title="Leger ID" description="Your unique user identifier">
			<div className="flex items-center gap-2">
				<input
					readOnly
					aria-label="Leger ID"
					value={user.user_uuid}
					className="h-8 w-full min-w-0 rounded-md border border-line-strong bg-raised px-2.5 font-mono text-sm"
					onFocus={(event) => event.target.select()}
				/>
				<CopyButton text={user.user_uuid} what="Leger ID" />
			</div>
		</CategorySection>
	);
}

const themes: [Theme, string][] = [
	["system", "System"],
	["light", "Light"],
	["dark", "Dark"],
];

function ThemeSection() {
	const [theme, setTheme] = useTheme();
	return (
		<CategorySection title="Theme" description="Kept in this browser">
			<fieldset className="flex flex-wrap gap-x-6 gap-y-1">
				<legend className="sr-only">Theme</legend>
				{themes.map(([value, label]) => (
					<label key={value} className="flex min-h-6 items-center gap-2">
						<input
							type="radio"
							name="theme"
							className="size-4"
							checked={theme === value}
							onChange={() => setTheme(value)}
						/>
						{label}
					</label>
				))}
			</fieldset>
		</CategorySection>
	);
}
