/** A text with no more than `length` of its characters, for messages. */
export const shorten = (text: string, length = 60): string =>
  text.length <= length ? text : `${text.slice(0, length)}...`;
