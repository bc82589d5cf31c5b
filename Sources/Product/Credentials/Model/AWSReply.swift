import Basics

/// What an answer of AWS Secrets Manager means: a pure reading of the published API.
enum AWSReply: Sendable {
  case done(JSONValue)
  case missing
  /// There is something of that name already, or it was deleted and its name is not free yet.
  case taken
  case denied(String)
  /// It asks to be left alone for a while.
  case throttled
  case failed(String)

  static func read(status: Int, body: JSONValue?) -> AWSReply {
    if (200..<300).contains(status) { return body.map { .done($0) } ?? .failed("its answer is no JSON") }
    // `com.amazonaws.secretsmanager#ResourceNotFoundException`, or the name alone.
    let kind = body?["__type"]?.stringValue?.split(separator: "#").last.map(String.init) ?? ""
    switch kind {
    case "ResourceNotFoundException": return .missing
    case "ResourceExistsException": return .taken
    case "InvalidRequestException":
      // A name that is scheduled for deletion can neither be read nor written.
      return .taken
    case "AccessDeniedException", "UnrecognizedClientException", "InvalidSignatureException", "ExpiredTokenException",
      "IncompleteSignatureException", "InvalidClientTokenId", "SignatureDoesNotMatch", "MissingAuthenticationToken":
      return .denied(kind)
    case "ThrottlingException", "RequestLimitExceeded": return .throttled
    default: break
    }
    if status == 429 { return .throttled }
    if status == 401 || status == 403 { return .denied("status \(status)") }
    return .failed(kind.isEmpty ? "it answered with status \(status)" : "it answered \(kind)")
  }
}
