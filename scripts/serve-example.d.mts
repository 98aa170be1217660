export declare function serveExample(options?: {
  port?: number;
}): Promise<{ url: string; close: () => Promise<void> }>;
