/// What an act reaches beyond a synthetic fleet: the things that the "won't do" lines of a packet close.
///
/// Closed: an act says its scopes in code, and a line of a packet names them here. Neither is matched by its words.
public enum ActScope: String, Sendable, CaseIterable, Codable, Comparable {
  case realOrg = "real-org"
  case realCredential = "real-credential"
  case nonProductionCredential = "non-production-credential"
  case credentialReuse = "credential-reuse"
  case spawnIngestion = "spawn-ingestion"
  case realSpawnSystem = "real-spawn-system"
  case destructiveMigration = "destructive-migration"
  case automaticCutover = "automatic-cutover"
  case trustedLegacyState = "trusted-legacy-state"
  case channelOnboarding = "channel-onboarding"
  case realChannel = "real-channel"
  case platformChannelCredential = "platform-channel-credential"
  case allChannels = "all-channels"
  case hiddenManualStep = "hidden-manual-step"
  case realRecoveryExercise = "real-recovery-exercise"
  case automaticFleetUpgrade = "automatic-fleet-upgrade"
  case productionLaunch = "production-launch"
  case multiRegion = "multi-region"
  case worksAgent = "works-agent"
  case billing
  case marketing

  /// True for what touches a real customer or cannot be taken back. It stays closed whichever sequence is active, until
  /// a packet that passed its gates opens it.
  public var isStanding: Bool {
    switch self {
    case .realOrg, .realCredential, .nonProductionCredential, .credentialReuse, .realSpawnSystem,
      .destructiveMigration, .automaticCutover, .realChannel, .platformChannelCredential, .realRecoveryExercise,
      .automaticFleetUpgrade, .productionLaunch:
      true
    case .spawnIngestion, .trustedLegacyState, .channelOnboarding, .allChannels, .hiddenManualStep, .multiRegion,
      .worksAgent, .billing, .marketing:
      false
    }
  }

  public static func < (left: ActScope, right: ActScope) -> Bool { left.rawValue < right.rawValue }
}
