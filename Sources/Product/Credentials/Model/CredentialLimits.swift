import Access

/// The limits of credentials and of the vaults that hold them.
public enum CredentialLimits {
  /// Of one value: the largest that a surface takes is far below.
  public static let valueBytesMax = 8_192
  /// From the question to the answer of a vault: OpenClaw gives its own providers as long.
  public static let vaultWithin = Duration.seconds(5)
  /// Of a vault's answer, a file or a program's output: OpenClaw's own limit.
  public static let answerBytesMax = 1 << 20
  /// From the question to the answer of a vendor.
  public static let vendorWithin = Duration.seconds(10)
  /// Vaults beside the sealed file.
  public static let vaultsMax = 32
  /// A vault's token is renewed this long before it ends.
  public static let tokenMargin = Duration.seconds(30)
  /// Of the keys of one vault that are listed.
  public static let keysMax = 10_000
  /// How long a one-time link works at most, and without being told otherwise.
  public static let intakeHoursMax = 24
  /// What was sealed to a key that was replaced opens for so long: a page may be open for as long as a link works.
  public static let sealingOverlap = Duration.seconds(24 * 3_600)
  /// Attempts to use one-time links from one address: as many as to sign in.
  public static let intakeAttempts = AccessLimits.standard.attemptsByAddress
  /// Links that ended are kept this long, so that until then the answer can say why.
  public static let intakeKept = Duration.seconds(30 * 86_400)
  /// Links of an Org in one answer, the newest.
  public static let intakeLinksShown = 100
  /// Of who asks, and of what for.
  public static let intakeTextCharactersMax = 200
  /// Of a key inside a vault.
  public static let keyCharactersMax = 256
}
