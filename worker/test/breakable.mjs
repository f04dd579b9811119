// The Worker with the routes of the test build, which wait, panic and measure.

import worker from "./index.mjs";
import { serve } from "./serve.mjs";

export default {
	...worker,
	fetch(request, env, ctx) {
		if (!new URL(request.url).pathname.startsWith("/test/")) return worker.fetch(request, env, ctx);
		const response = serve(request, env, ctx);
		ctx.waitUntil(response);
		return response;
	},
};
