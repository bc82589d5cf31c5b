/// Which AW this is.
public enum Release {
  public static let version = "0.1.0"
  /// How it introduces itself to its peers.
  public static let program = "aw/\(version)"
}
