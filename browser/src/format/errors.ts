/** Root of all errors that a file or a caller can cause; the text is one line for a person. */
export class NcodecError extends Error {
  override name = "NcodecError";
}

/** The bytes are not what the format says they must be. */
export class BadFileError extends NcodecError {
  override name = "BadFileError";
}

/** A file is damaged in a way that a reader told to keep going passes over. */
export class DamageError extends BadFileError {
  override name = "DamageError";
}

/** The file is of a version, or asks for a feature, that this reader does not know. */
export class UnsupportedVersionError extends NcodecError {
  override name = "UnsupportedVersionError";
}

/** A size or a duration is beyond a stated limit. */
export class LimitError extends NcodecError {
  override name = "LimitError";
}

/** The file was made with another model, or with other weights. */
export class ModelMismatchError extends NcodecError {
  override name = "ModelMismatchError";
}

/** A value given by the caller breaks a rule. */
export class ArgumentError extends NcodecError {
  override name = "ArgumentError";
}

/** Codes were predicted by tables that are not here, so they cannot be decoded. */
export class TablesError extends NcodecError {
  override name = "TablesError";
}
