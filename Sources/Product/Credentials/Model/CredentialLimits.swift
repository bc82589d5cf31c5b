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
  /// Of a key inside a vault.
  public static let keyCharactersMax = 256
}
