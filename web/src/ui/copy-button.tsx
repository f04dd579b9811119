import { Check, Copy } from "lucide-react";
import { useState } from "react";
import { Button } from "./button.tsx";
import { toast } from "./toaster.tsx";

interface Props {
	text: string;
	/** What is copied, as in "Leger ID". */
	what: string;
	/** Without it the button is an icon. */
	label?: string;
	small?: boolean;
}

export function CopyButton({ text, what, label, small = false }: Props) {
	const [copied, setCopied] = useState(false);
	const copy = async () => {
		try {
			await navigator.clipboard.writeText(text);
		} catch {
			toast.error(`${what} could not be copied`, {
				description: "The browser refused. Select it and copy it by hand.",
			});
			return;
		}
		setCopied(true);
		toast.success(`${what} copied`);
	};
	const Icon = copied ? Check : Copy;
	return (
		<Button
			onClick={copy}
			onBlur={() => setCopied(false)}
			icon={label === undefined}
			small={small}
			aria-label={label === undefined ? `Copy ${what}` : undefined}
			title={label === undefined ? `Copy ${what}` : undefined}
		>
			<Icon className="size-3.5" aria-hidden />
			{label}
		</Button>
	);
}
