// What holds where a setting is not given, by the names of the settings' fields: what /props says.

export function readDefaults(props) { return {...props?.defaults, block_size: props?.block_size}; }
