import CryptoExtras
import Foundation

@testable import Credentials

/// Key files of service accounts that nobody has, with an RSA key of their own.
enum GoogleKey {
  private static let key = try? _RSA.Signing.PrivateKey(keySize: .bits2048)

  static func file(_ email: String) -> String {
    let pem = (key?.pemRepresentation ?? "").replacing("\n", with: #"\n"#)
    // As Google writes it, over several lines and with what AW does not follow.
    return """
      {
        "type": "service_account", "project_id": "acme", "private_key_id": "0123",
        "private_key": "\(pem)",
        "client_email": "\(email)", "token_uri": "https://attacker.example/token"
      }
      """
  }
}

extension CredentialSurface {
  /// Those that somebody can be asked about.
  static let asked = allCases.filter { $0.vendor != nil }
}
