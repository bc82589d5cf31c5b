import Basics
import Foundation

/// Where an AWS Secrets Manager is, and what AW signs with there.
public struct AWSSettings: Sendable, Equatable {
  let name: String
  let region: String
  /// Without a slash at its end.
  let endpoint: String
  /// As the signature has it: with the port, unless it is the scheme's own.
  let host: String
  /// What the names of AW's secrets begin with.
  let prefix: String
  /// A JSON file with `accessKeyId`, `secretAccessKey` and, if there is one, `sessionToken`.
  let credentialsFile: String
  let caFile: String?

  /// - Parameter endpoint: nil is AWS's own of the region.
  /// - Throws: `vaultSettings`.
  init(
    name: String, region: String, endpoint: String?, prefix: String, credentialsFile: String, caFile: String?
  ) throws(AWError) {
    guard region.wholeMatch(of: /[a-z]{2}(-[a-z]+)+-[0-9]/) != nil else {
      throw VaultSettings.wrong("the vault \(name.quoted) has the region \(region.quoted), such as eu-central-1")
    }
    guard KVSettings.isPath(prefix) else {
      throw VaultSettings.wrong("the vault \(name.quoted) has a 'prefix' that is no path")
    }
    let domain = region.hasPrefix("cn-") ? "amazonaws.com.cn" : "amazonaws.com"
    self.endpoint = try VaultSettings.address(endpoint ?? "https://secretsmanager.\(region).\(domain)", name)
    guard let url = URL(string: self.endpoint), let host = url.host(), ["", "/"].contains(url.path()) else {
      throw VaultSettings.wrong("the vault \(name.quoted) has an endpoint with a path")
    }
    self.host = url.port.map { "\(host):\($0)" } ?? host
    self.name = name
    self.region = region
    self.prefix = prefix
    self.credentialsFile = credentialsFile
    self.caFile = caFile
  }
}
