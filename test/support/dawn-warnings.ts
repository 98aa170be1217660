/** What a process wrote, without what Dawn tells on stderr of limits that it made smaller than the driver's. */
export const withoutDawnWarnings = (text: string): string =>
  text.replaceAll(/^Warning: max\w+ artificially reduced .*\n/gm, '');
