// The server's defaults, from /props and /v1/models, by the names of the settings' fields.

export function readDefaults(models, props) {
  const given = props?.default_generation_settings ?? {};
  return {...given, ...given.params};
}
