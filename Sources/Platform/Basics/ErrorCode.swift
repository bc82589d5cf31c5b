/// A stable code for a failure, with the one mapping to HTTP status and CLI exit code.
///
/// Every code is listed in `ErrorCode.all` and explained in `docs/errors.md`; a test compares the two.
public struct ErrorCode: Hashable, Sendable {
  /// `room.what-failed`, never changed once released.
  public let id: String
  /// The status of the API's problem document.
  public let httpStatus: Int
  /// The CLI's exit code: 1 failed, 2 usage, 4 refused by policy.
  public let exitCode: Int32

  private init(_ id: String, http: Int, exit: Int32 = 1) {
    self.id = id
    self.httpStatus = http
    self.exitCode = exit
  }

  public static func == (left: ErrorCode, right: ErrorCode) -> Bool { left.id == right.id }
  public func hash(into hasher: inout Hasher) { hasher.combine(id) }
}

extension ErrorCode {
  // Anywhere
  public static let internalFailure = ErrorCode("internal.failure", http: 500)
  public static let usage = ErrorCode("request.invalid", http: 400, exit: 2)
  public static let notFound = ErrorCode("request.not-found", http: 404)
  public static let dataInUse = ErrorCode("data.in-use", http: 503)
  public static let dataUnwritable = ErrorCode("data.unwritable", http: 500)
  public static let nodeVaultForeign = ErrorCode("node.vault-foreign", http: 500)
  public static let portTaken = ErrorCode("listen.port-taken", http: 409)
  public static let conflict = ErrorCode("request.conflict", http: 409)
  public static let tooLarge = ErrorCode("request.too-large", http: 413)
  public static let slugInvalid = ErrorCode("slug.invalid", http: 400, exit: 2)
  public static let slugTaken = ErrorCode("slug.taken", http: 409)
  public static let confirmationMissing = ErrorCode("request.confirmation-missing", http: 400, exit: 2)
  public static let idempotencyMismatch = ErrorCode("request.idempotency-mismatch", http: 422)

  // Access
  public static let unauthenticated = ErrorCode("access.unauthenticated", http: 401, exit: 4)
  public static let forbidden = ErrorCode("access.forbidden", http: 403, exit: 4)
  public static let csrf = ErrorCode("access.csrf", http: 403, exit: 4)
  public static let rateLimited = ErrorCode("access.rate-limited", http: 429)
  public static let linkInvalid = ErrorCode("access.link-invalid", http: 410)
  public static let passwordWeak = ErrorCode("access.password-weak", http: 400, exit: 2)

  // Guardrails
  public static let orgNotSynthetic = ErrorCode("guardrail.org-not-synthetic", http: 403, exit: 4)

  public static let credentialClassRefused = ErrorCode("guardrail.credential-class", http: 403, exit: 4)

  // Approvals
  public static let approvalRequired = ErrorCode("approval.required", http: 403, exit: 4)
  public static let approvalUnknown = ErrorCode("approval.unknown", http: 404)
  public static let approvalStale = ErrorCode("approval.stale", http: 403, exit: 4)
  public static let approvalUsed = ErrorCode("approval.used", http: 403, exit: 4)
  public static let approvalExpired = ErrorCode("approval.expired", http: 403, exit: 4)
  public static let approvalDenied = ErrorCode("approval.refused", http: 403, exit: 4)
  public static let approvalSelfGiven = ErrorCode("approval.self-given", http: 403, exit: 4)
  public static let approvalNoPerson = ErrorCode("approval.no-person", http: 403, exit: 4)

  // The programme
  public static let programmeScopeClosed = ErrorCode("guardrail.programme-scope", http: 403, exit: 4)
  public static let programmeSequenceUnknown = ErrorCode("programme.sequence-unknown", http: 404)
  public static let programmePacketInvalid = ErrorCode("programme.packet-invalid", http: 400, exit: 2)
  public static let programmePacketStale = ErrorCode("programme.packet-stale", http: 409)
  public static let programmeSigners = ErrorCode("programme.signers-invalid", http: 400, exit: 2)
  public static let programmeNoAuthor = ErrorCode("programme.author-unknown", http: 403, exit: 4)
  public static let programmeDecisionRefused = ErrorCode("programme.decision-refused", http: 403, exit: 4)
  public static let programmeSelfGiven = ErrorCode("programme.self-given", http: 403, exit: 4)
  public static let programmeGateOrder = ErrorCode("programme.gate-order", http: 403, exit: 4)
  public static let programmeGateBlocked = ErrorCode("programme.gate-blocked", http: 403, exit: 4)
  public static let programmeDecisionUsed = ErrorCode("programme.decision-used", http: 403, exit: 4)
  public static let programmeCheckpointTaken = ErrorCode("programme.checkpoint-taken", http: 409)
  public static let programmeNotBuilt = ErrorCode("programme.not-built", http: 409)
  public static let programmeWarningUnknown = ErrorCode("programme.warning-unknown", http: 404)

  // Credentials and their vaults
  public static let credentialUnknown = ErrorCode("credential.unknown", http: 404)
  public static let surfaceUnknown = ErrorCode("credential.surface-unknown", http: 400, exit: 2)
  public static let credentialShape = ErrorCode("credential.shape", http: 400, exit: 2)
  public static let credentialNotFixture = ErrorCode("credential.not-fixture", http: 403, exit: 4)
  public static let credentialKey = ErrorCode("credential.key-invalid", http: 400, exit: 2)
  public static let secretRefInvalid = ErrorCode("credential.reference-invalid", http: 400, exit: 2)
  public static let credentialRefused = ErrorCode("credential.refused", http: 409)
  public static let credentialUnvalidated = ErrorCode("credential.not-validated", http: 409)
  public static let credentialExpired = ErrorCode("credential.expired", http: 409)
  public static let secretsUnresolvable = ErrorCode("credential.host-cannot-resolve", http: 409)
  public static let credentialShared = ErrorCode("credential.identity-shared", http: 409)
  public static let credentialStillAlive = ErrorCode("credential.still-alive", http: 409)
  public static let credentialOtherIdentity = ErrorCode("credential.other-identity", http: 409)
  public static let credentialMarksLeft = ErrorCode("credential.marks-left", http: 409)
  public static let credentialFrozen = ErrorCode("credential.frozen", http: 409)
  public static let credentialEnvelope = ErrorCode("credential.envelope-invalid", http: 400)
  public static let intakeUnknown = ErrorCode("intake.unknown", http: 410)
  public static let intakeExpired = ErrorCode("intake.expired", http: 410)
  public static let intakeReplaced = ErrorCode("intake.replaced", http: 410)
  public static let intakeReused = ErrorCode("intake.token-reused", http: 410)
  // Gates
  public static let gateUnknown = ErrorCode("gate.unknown", http: 404)
  public static let gateTrust = ErrorCode("gate.approvers-invalid", http: 400, exit: 2)
  public static let gateNoRequester = ErrorCode("gate.requester-unknown", http: 403, exit: 4)
  public static let gateNotSigned = ErrorCode("gate.not-signed", http: 403, exit: 4)
  public static let gateAltered = ErrorCode("gate.altered", http: 403, exit: 4)
  public static let gateUntrusted = ErrorCode("gate.signature-untrusted", http: 403, exit: 4)
  public static let gateSelfSigned = ErrorCode("gate.self-signed", http: 403, exit: 4)
  public static let gateOutOfScope = ErrorCode("gate.out-of-scope", http: 403, exit: 4)
  public static let gateExpired = ErrorCode("gate.expired", http: 403, exit: 4)
  public static let gateRevoked = ErrorCode("gate.revoked", http: 403, exit: 4)
  public static let validatorMissing = ErrorCode("credential.no-validator", http: 409)
  public static let credentialUncheckable = ErrorCode("credential.no-check", http: 409)
  public static let vaultUnknown = ErrorCode("vault.unknown", http: 400, exit: 2)
  public static let vaultSettings = ErrorCode("vault.settings-invalid", http: 400, exit: 2)
  public static let vaultUnreachable = ErrorCode("vault.unreachable", http: 503)
  public static let vaultRefused = ErrorCode("vault.refused", http: 502)

  // Onboarding
  public static let onboardingUnknown = ErrorCode("onboarding.unknown", http: 404)
  public static let onboardingIncomplete = ErrorCode("onboarding.incomplete", http: 409)
  public static let onboardingHeld = ErrorCode("onboarding.held", http: 409)
  public static let onboardingNotReady = ErrorCode("onboarding.not-ready", http: 409)
  public static let baselineUnknown = ErrorCode("baseline.unknown", http: 400, exit: 2)
  public static let baselineKeyUnknown = ErrorCode("baseline.key-unknown", http: 400, exit: 2)
  public static let baselineWeaker = ErrorCode("baseline.weaker", http: 409)
  public static let baselineUnapproved = ErrorCode("baseline.exception-unapproved", http: 409)
  public static let baselineExceptionExpired = ErrorCode("baseline.exception-expired", http: 409)
  public static let baselineExceptionUnknown = ErrorCode("baseline.exception-unknown", http: 404)
  public static let handoffNotReady = ErrorCode("handoff.not-ready", http: 409)
  public static let handoffOpen = ErrorCode("handoff.unanswered", http: 409)
  public static let handoffRefused = ErrorCode("handoff.refused", http: 400)
  public static let handoffStale = ErrorCode("handoff.stale", http: 409)

  // Store, vault, evidence
  public static let storeLocked = ErrorCode("store.locked", http: 503)
  public static let storeFull = ErrorCode("store.full", http: 507)
  public static let storeFailed = ErrorCode("store.failed", http: 500)
  public static let storeNewer = ErrorCode("store.newer", http: 500)
  public static let vaultUnreadable = ErrorCode("vault.unreadable", http: 500)
  public static let vaultMissing = ErrorCode("vault.missing-secret", http: 500)
  public static let evidenceBroken = ErrorCode("evidence.broken", http: 500)
  public static let evidenceUnwritable = ErrorCode("evidence.unwritable", http: 503)
  public static let evidenceSecret = ErrorCode("evidence.secret-found", http: 422, exit: 4)
  public static let evidenceFieldUnknown = ErrorCode("evidence.field-unknown", http: 404)
  public static let evidenceUnpublished = ErrorCode("evidence.not-published", http: 409)
  public static let evidenceUnclean = ErrorCode("evidence.not-clean", http: 409)
  public static let witnessRefused = ErrorCode("evidence.witness-refused", http: 409, exit: 4)

  // CLI context
  public static let contextMissing = ErrorCode("context.missing", http: 400, exit: 2)
  public static let contextCorrupt = ErrorCode("context.corrupt", http: 400, exit: 2)
  public static let controlPlaneUnreachable = ErrorCode("context.unreachable", http: 503)

  // Link and hosts
  public static let hostUnknown = ErrorCode("host.unknown", http: 404)
  public static let hostOffline = ErrorCode("host.offline", http: 503)
  public static let hostDraining = ErrorCode("host.draining", http: 409)
  public static let hostInUse = ErrorCode("host.in-use", http: 409)
  public static let authorityLaggards = ErrorCode("authority.laggards", http: 409)
  public static let enrolmentInvalid = ErrorCode("enrolment.invalid", http: 403, exit: 4)
  public static let enrolmentExpired = ErrorCode("enrolment.expired", http: 403, exit: 4)
  public static let enrolmentUsed = ErrorCode("enrolment.used", http: 403, exit: 4)
  public static let linkForeignAuthority = ErrorCode("link.foreign-authority", http: 502)
  public static let linkClockSkew = ErrorCode("link.clock-skew", http: 502)
  public static let linkRefused = ErrorCode("link.refused", http: 502)
  public static let linkLost = ErrorCode("link.lost", http: 502)
  public static let linkShed = ErrorCode("link.shed", http: 503)
  public static let linkProxyRefused = ErrorCode("link.proxy-refused", http: 502)
  public static let linkNotRedundant = ErrorCode("link.not-redundant", http: 503)
  public static let linkPathDegraded = ErrorCode("link.path-degraded", http: 503)
  public static let targetRefused = ErrorCode("link.target-refused", http: 502)

  // Control paths
  public static let pathKindUnknown = ErrorCode("path.kind-unknown", http: 400, exit: 2)
  public static let pathInvalid = ErrorCode("path.invalid", http: 400, exit: 2)
  public static let pathUnreachable = ErrorCode("path.unreachable", http: 502)
  public static let pathHostKeyChanged = ErrorCode("path.host-key-changed", http: 502)
  public static let pathCredentialRefused = ErrorCode("path.credential-refused", http: 502)
  public static let pathTLSFailed = ErrorCode("path.tls-failed", http: 502)
  public static let pathAddressRefused = ErrorCode("path.address-refused", http: 403, exit: 4)
  public static let pathProgramMissing = ErrorCode("path.program-missing", http: 503)
  public static let pathCheckForgotten = ErrorCode("path.check-forgotten", http: 409)

  // Orgs, Instances and operations
  public static let orgUnknown = ErrorCode("org.unknown", http: 404)
  public static let instanceUnknown = ErrorCode("instance.unknown", http: 404)
  public static let operationUnknown = ErrorCode("operation.unknown", http: 404)
  public static let operationRunning = ErrorCode("operation.running", http: 409)
  public static let operationDeadline = ErrorCode("operation.deadline", http: 504)

  // Endpoints of notifications
  public static let endpointInvalid = ErrorCode("endpoint.invalid", http: 400, exit: 2)
  public static let endpointTemplateInvalid = ErrorCode("endpoint.template-invalid", http: 400, exit: 2)
  public static let endpointSecretMissing = ErrorCode("endpoint.secret-missing", http: 409)
  public static let endpointNameUnknown = ErrorCode("endpoint.name-unknown", http: 409)
  public static let endpointAddressRefused = ErrorCode("endpoint.address-refused", http: 403, exit: 4)

  // Runtimes
  public static let runtimeUnavailable = ErrorCode("runtime.unavailable", http: 503)
  public static let runtimeProgramMissing = ErrorCode("runtime.program-missing", http: 503)
  public static let runtimeImageMissing = ErrorCode("runtime.image-missing", http: 409)
  public static let runtimePortTaken = ErrorCode("runtime.port-taken", http: 409)
  public static let runtimeDiskFull = ErrorCode("runtime.disk-full", http: 507)
  public static let runtimeFailed = ErrorCode("runtime.failed", http: 502)
  public static let runtimeExited = ErrorCode("runtime.exited", http: 502)
  public static let runtimeConfigRefused = ErrorCode("runtime.exit-78", http: 502)

  // OpenClaw
  public static let gatewayUnreachable = ErrorCode("openclaw.unreachable", http: 502)
  public static let gatewayNotReady = ErrorCode("openclaw.not-ready", http: 502)
  public static let gatewayRefused = ErrorCode("openclaw.refused", http: 502)
  public static let gatewayPairingRequired = ErrorCode("openclaw.pairing-required", http: 502)
  public static let gatewayProtocol = ErrorCode("openclaw.protocol", http: 502)
  public static let gatewayTimeout = ErrorCode("openclaw.timeout", http: 504)
  public static let gatewayOtherIdentity = ErrorCode("openclaw.other-identity", http: 502)
  public static let gatewayDrifted = ErrorCode("openclaw.drifted", http: 409)
  public static let modelNotConfigured = ErrorCode("model.not-configured", http: 409)
  public static let modelTurnFailed = ErrorCode("openclaw.model-turn-failed", http: 502)

  // Alerts
  public static let deliveryFailed = ErrorCode("delivery.failed", http: 502)
  public static let silenceWithoutEnd = ErrorCode("silence.without-end", http: 400, exit: 2)

  public static let all: [ErrorCode] = [
    internalFailure, usage, notFound, dataInUse, dataUnwritable, nodeVaultForeign, portTaken, conflict, tooLarge,
    slugInvalid, slugTaken,
    confirmationMissing,
    idempotencyMismatch, unauthenticated, forbidden, csrf, rateLimited, linkInvalid, passwordWeak, orgNotSynthetic,
    storeLocked, storeFull, storeFailed, storeNewer, vaultUnreadable, vaultMissing, evidenceBroken, evidenceUnwritable,
    evidenceSecret, evidenceFieldUnknown, evidenceUnpublished, evidenceUnclean, witnessRefused,
    contextMissing, contextCorrupt, controlPlaneUnreachable, hostUnknown, hostOffline, hostDraining, hostInUse,
    authorityLaggards, linkPathDegraded,
    enrolmentInvalid, enrolmentExpired, enrolmentUsed, linkForeignAuthority, linkClockSkew, linkRefused, linkLost,
    linkShed, linkProxyRefused, linkNotRedundant, targetRefused, orgUnknown, instanceUnknown, operationUnknown,
    operationRunning, operationDeadline,
    runtimeUnavailable, runtimeProgramMissing, runtimeImageMissing, runtimePortTaken, runtimeDiskFull, runtimeFailed,
    runtimeExited, runtimeConfigRefused, gatewayUnreachable, gatewayNotReady, gatewayRefused, gatewayPairingRequired,
    gatewayProtocol, gatewayTimeout, gatewayOtherIdentity, gatewayDrifted, modelNotConfigured, modelTurnFailed,
    endpointInvalid, endpointTemplateInvalid, endpointSecretMissing, endpointNameUnknown, endpointAddressRefused,
    deliveryFailed, silenceWithoutEnd, pathKindUnknown, pathInvalid, pathUnreachable, pathHostKeyChanged,
    pathCredentialRefused, pathTLSFailed, pathAddressRefused, pathProgramMissing, pathCheckForgotten,
    gateUnknown, gateTrust, gateNoRequester, gateNotSigned, gateAltered, gateUntrusted, gateSelfSigned, gateOutOfScope,
    gateExpired, gateRevoked, credentialStillAlive, credentialOtherIdentity, credentialMarksLeft,
    credentialClassRefused, credentialUnknown, surfaceUnknown, credentialShape, credentialNotFixture, credentialKey,
    secretRefInvalid, credentialRefused, credentialUnvalidated, credentialExpired, credentialShared,
    secretsUnresolvable, onboardingUnknown,
    onboardingIncomplete, onboardingHeld, onboardingNotReady, validatorMissing, credentialUncheckable, vaultUnknown,
    vaultSettings,
    vaultUnreachable, vaultRefused, credentialFrozen, credentialEnvelope, intakeUnknown, intakeExpired, intakeReplaced,
    intakeReused, baselineUnknown, baselineKeyUnknown, baselineWeaker, baselineUnapproved, baselineExceptionExpired,
    baselineExceptionUnknown, handoffNotReady, handoffOpen, handoffRefused, handoffStale,
    approvalRequired, approvalUnknown, approvalStale, approvalUsed, approvalExpired, approvalDenied, approvalSelfGiven,
    approvalNoPerson,
    programmeScopeClosed, programmeSequenceUnknown, programmePacketInvalid, programmePacketStale, programmeSigners,
    programmeNoAuthor, programmeDecisionRefused, programmeSelfGiven, programmeGateOrder, programmeGateBlocked,
    programmeDecisionUsed, programmeCheckpointTaken, programmeWarningUnknown,
    programmeNotBuilt,
  ]

  private static let byID = Dictionary(uniqueKeysWithValues: all.map { ($0.id, $0) })

  /// The code with this id, as read from a problem document or a link message; unknown ids keep their text.
  public static func named(_ id: String) -> ErrorCode { byID[id] ?? ErrorCode(id, http: 500) }
}
