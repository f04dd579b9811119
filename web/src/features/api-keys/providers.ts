/** One thing a provider gives out, kept as one secret. */
export interface ProviderField {
	/** The secret's name. Changing one orphans what people have stored. */
	secret: string;
	label: string;
	/** Not a secret in itself: shown while it is typed. */
	plain?: boolean;
	optional?: boolean;
	placeholder?: string;
	/** How these look today. Something else is warned about and taken: shapes change. */
	shape?: RegExp;
}

export interface Provider {
	title: string;
	description: string;
	/** Where the key is made. */
	url: string;
	fields: [ProviderField, ...ProviderField[]];
}

const key = (secret: string, start?: string): [ProviderField] => [
	start === undefined
		? { secret, label: "API Key" }
		: { secret, label: "API Key", placeholder: `${start}…`, shape: new RegExp(`^${start}`) },
];

/** Every provider with a section of its own, in the order of the page. */
export const providers: readonly Provider[] = [
	{
		title: "OpenAI",
		description: "Configure OpenAI API access",
		url: "https://platform.openai.com/api-keys",
		fields: [
			...key("openai_api_key", "sk-"),
			{
				secret: "openai_org_id",
				label: "Organization ID",
				plain: true,
				optional: true,
				placeholder: "org-…",
				shape: /^org-/,
			},
		],
	},
	{
		title: "Anthropic",
		description: "Configure Anthropic API access",
		url: "https://console.anthropic.com/settings/keys",
		fields: key("anthropic_api_key", "sk-ant-"),
	},
	{
		title: "Google Gemini",
		description: "Gemini models of Google AI Studio",
		url: "https://aistudio.google.com/apikey",
		fields: key("gemini_api_key", "AIza"),
	},
	{
		title: "Mistral",
		description: "Models of la Plateforme",
		url: "https://console.mistral.ai/api-keys",
		fields: key("mistral_api_key"),
	},
	{
		title: "Groq",
		description: "Fast inference of open models",
		url: "https://console.groq.com/keys",
		fields: key("groq_api_key", "gsk_"),
	},
	{
		title: "OpenRouter",
		description: "Many models behind one API",
		url: "https://openrouter.ai/settings/keys",
		fields: key("openrouter_api_key", "sk-or-"),
	},
	{
		title: "Hugging Face",
		description: "Models, data sets and inference",
		url: "https://huggingface.co/settings/tokens",
		fields: [{ secret: "hf_token", label: "Access token", placeholder: "hf_…", shape: /^hf_/ }],
	},
	{
		title: "Cohere",
		description: "Command, Embed and Rerank",
		url: "https://dashboard.cohere.com/api-keys",
		fields: key("cohere_api_key"),
	},
	{
		title: "Together",
		description: "Inference and fine-tuning of open models",
		url: "https://api.together.ai/settings/api-keys",
		fields: key("together_api_key"),
	},
	{
		title: "DeepSeek",
		description: "DeepSeek chat and reasoning models",
		url: "https://platform.deepseek.com/api_keys",
		fields: key("deepseek_api_key", "sk-"),
	},
	{
		title: "xAI",
		description: "Grok models",
		url: "https://console.x.ai",
		fields: key("xai_api_key", "xai-"),
	},
	{
		title: "Perplexity",
		description: "Answers from search",
		url: "https://www.perplexity.ai/settings/api",
		fields: key("perplexity_api_key", "pplx-"),
	},
	{
		title: "Replicate",
		description: "Models run by API",
		url: "https://replicate.com/account/api-tokens",
		fields: [{ secret: "replicate_api_token", label: "API token", placeholder: "r8_…", shape: /^r8_/ }],
	},
	{
		title: "ElevenLabs",
		description: "Speech and voices",
		url: "https://elevenlabs.io/app/settings/api-keys",
		fields: key("elevenlabs_api_key", "sk_"),
	},
	{
		title: "GitHub",
		description: "Repositories and packages",
		url: "https://github.com/settings/tokens",
		fields: [
			{
				secret: "github_token",
				label: "Access token",
				placeholder: "github_pat_…",
				shape: /^(github_pat_|gh[opsu]_)/,
			},
		],
	},
	{
		title: "GitLab",
		description: "Repositories and registries",
		url: "https://gitlab.com/-/user_settings/personal_access_tokens",
		fields: [{ secret: "gitlab_token", label: "Access token", placeholder: "glpat-…", shape: /^glpat-/ }],
	},
	{
		title: "Tailscale",
		description: "Let containers join the tailnet",
		url: "https://login.tailscale.com/admin/settings/keys",
		fields: [
			{ secret: "tailscale_auth_key", label: "Auth key", placeholder: "tskey-auth-…", shape: /^tskey-auth-/ },
			{
				secret: "tailscale_api_key",
				label: "API access token",
				optional: true,
				placeholder: "tskey-api-…",
				shape: /^tskey-api-/,
			},
		],
	},
];

/** The secrets that have a place of their own; all others are custom. */
export const providerSecrets: ReadonlySet<string> = new Set(
	providers.flatMap((provider) => provider.fields.map((field) => field.secret)),
);
