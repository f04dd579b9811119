import { Toaster as Sonner, toast } from "sonner";

/** The region that shows toasts; screen readers hear them politely. */
export function Toaster() {
	return <Sonner position="bottom-right" duration={5000} visibleToasts={3} offset={16} mobileOffset={12} />;
}

export { toast };
