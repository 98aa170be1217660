type Environment = Record<string, string | undefined>;

export declare const root: string;
export declare const cache: string;

export declare function graphicsEnvironment(
  base?: Environment,
): Promise<{ env: Environment; kind: 'system' | 'swiftshader' | 'none'; note: string }>;

export declare function chromium(
  base?: Environment,
): Promise<
  | { missing: string; executable?: undefined }
  | { missing?: undefined; executable: string; env: Environment; args: string[] }
>;

export declare function run(command: string, args: readonly string[], env?: Environment): Promise<number>;
