/** Whether a text has none of the characters the server refuses: control, format, and spaces but the plain one. */
export function isPrintable(text: string): boolean {
	return !/[\p{C}\p{Zl}\p{Zp}]|(?! )\p{Zs}/u.test(text);
}
