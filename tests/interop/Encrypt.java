import java.io.InputStream;
import java.io.OutputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyPair;
import java.security.KeyPairGenerator;
import java.security.PublicKey;
import java.security.cert.X509Certificate;
import java.security.interfaces.ECPublicKey;
import java.security.spec.MGF1ParameterSpec;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import javax.crypto.spec.OAEPParameterSpec;
import javax.crypto.spec.PSource;
import org.bouncycastle.asn1.ASN1ObjectIdentifier;
import org.bouncycastle.asn1.DERSet;
import org.bouncycastle.asn1.DERUTF8String;
import org.bouncycastle.asn1.cms.Attribute;
import org.bouncycastle.asn1.cms.AttributeTable;
import org.bouncycastle.asn1.pkcs.PKCSObjectIdentifiers;
import org.bouncycastle.asn1.x509.AlgorithmIdentifier;
import org.bouncycastle.cert.jcajce.JcaX509ExtensionUtils;
import org.bouncycastle.cms.CMSAlgorithm;
import org.bouncycastle.cms.CMSAuthEnvelopedDataStreamGenerator;
import org.bouncycastle.cms.CMSEnvelopedDataStreamGenerator;
import org.bouncycastle.cms.PasswordRecipient;
import org.bouncycastle.cms.RecipientInfoGenerator;
import org.bouncycastle.cms.SimpleAttributeTableGenerator;
import org.bouncycastle.cms.jcajce.JceCMSContentEncryptorBuilder;
import org.bouncycastle.cms.jcajce.JceKEKRecipientInfoGenerator;
import org.bouncycastle.cms.jcajce.JceKEMRecipientInfoGenerator;
import org.bouncycastle.cms.jcajce.JceKeyAgreeRecipientInfoGenerator;
import org.bouncycastle.cms.jcajce.JceKeyTransRecipientInfoGenerator;
import org.bouncycastle.cms.jcajce.JcePasswordRecipientInfoGenerator;
import org.bouncycastle.operator.OutputAEADEncryptor;
import org.bouncycastle.operator.OutputEncryptor;
import org.bouncycastle.operator.jcajce.JcaAlgorithmParametersConverter;

/** Seals a file with Bouncy Castle's streaming generators, in segments of some octets. For whom,
 * words say: "certificate FILE HOW NAMED", where HOW is pkcs1v15, oaep-sha256, -sha384 or -sha512
 * for RSA, a scheme for an elliptic curve that isn't to have the one of its own size, and NAMED is
 * issuer-serial or ski; "kek FILE IDENTIFIER"; or "password TEXT"; "and" between several. An
 * authenticated cipher's name may end with "+attribute": then an authenticated attribute is there. */
final class Encrypt {
    private static final Map<String, ASN1ObjectIdentifier> CIPHERS = Map.of(
            "aes128-cbc", CMSAlgorithm.AES128_CBC,
            "aes192-cbc", CMSAlgorithm.AES192_CBC,
            "aes256-cbc", CMSAlgorithm.AES256_CBC,
            "des3-cbc", CMSAlgorithm.DES_EDE3_CBC,
            "aes128-gcm", CMSAlgorithm.AES128_GCM,
            "aes256-gcm", CMSAlgorithm.AES256_GCM,
            "chacha20-poly1305", CMSAlgorithm.ChaCha20Poly1305);
    private static final Map<String, String> DIGESTS =
            Map.of("oaep-sha256", "SHA-256", "oaep-sha384", "SHA-384", "oaep-sha512", "SHA-512");
    private static final Map<String, ASN1ObjectIdentifier> SCHEMES = Map.of(
            "sha1-kdf", CMSAlgorithm.ECDH_SHA1KDF,
            "ecdh-sha1", CMSAlgorithm.ECDH_SHA1KDF,
            "ecdh-sha256", CMSAlgorithm.ECDH_SHA256KDF,
            "ecdh-sha384", CMSAlgorithm.ECDH_SHA384KDF,
            "ecdh-sha512", CMSAlgorithm.ECDH_SHA512KDF,
            "ecdh-cofactor-sha224", CMSAlgorithm.ECCDH_SHA224KDF,
            "ecdh-cofactor-sha512", CMSAlgorithm.ECCDH_SHA512KDF);
    private static final Attribute ATTRIBUTE = new Attribute(
            PKCSObjectIdentifiers.pkcs_9_at_unstructuredName,
            new DERSet(new DERUTF8String("known to be authentic")));
    private static final int ROUNDS = 10_000;

    private Encrypt() {}

    static void seal(Path input, Path output, String how, int segment, String[] who)
            throws Exception {
        boolean attribute = how.endsWith("+attribute");
        String cipher = how.split("\\+")[0];
        OutputEncryptor encryptor =
                new JceCMSContentEncryptorBuilder(CIPHERS.get(cipher)).setProvider("BC").build();
        List<RecipientInfoGenerator> to = new ArrayList<>();
        int first = 0;
        for (int end = 0; end <= who.length; end++) {
            if (end == who.length || who[end].equals("and")) {
                to.add(recipient(Arrays.copyOfRange(who, first, end), wrapping(cipher)));
                first = end + 1;
            }
        }
        try (InputStream in = Files.newInputStream(input);
                OutputStream file = Files.newOutputStream(output);
                OutputStream out = open(file, encryptor, to, segment, attribute)) {
            in.transferTo(out);
        }
    }

    private static OutputStream open(
            OutputStream file, OutputEncryptor encryptor, List<RecipientInfoGenerator> to,
            int segment, boolean attribute) throws Exception {
        if (encryptor instanceof OutputAEADEncryptor authenticating) {
            var generator = new CMSAuthEnvelopedDataStreamGenerator();
            to.forEach(generator::addRecipientInfoGenerator);
            generator.setBufferSize(segment);
            if (attribute) {
                generator.setAuthenticatedAttributeGenerator(
                        new SimpleAttributeTableGenerator(new AttributeTable(ATTRIBUTE)));
            }
            return generator.open(file, authenticating);
        }
        var generator = new CMSEnvelopedDataStreamGenerator();
        to.forEach(generator::addRecipientInfoGenerator);
        generator.setBufferSize(segment);
        return generator.open(file, encryptor);
    }

    private static ASN1ObjectIdentifier wrapping(String cipher) {
        boolean narrow = cipher.startsWith("aes128");
        return narrow ? CMSAlgorithm.AES128_WRAP : CMSAlgorithm.AES256_WRAP;
    }

    private static RecipientInfoGenerator recipient(String[] who, ASN1ObjectIdentifier wrapping)
            throws Exception {
        switch (who[0]) {
            case "kek":
                return new JceKEKRecipientInfoGenerator(
                        Words.octets(who[2]), Material.secretKey(who[1])).setProvider("BC");
            case "password":
                return new JcePasswordRecipientInfoGenerator(
                        CMSAlgorithm.AES256_CBC, who[1].toCharArray())
                        .setProvider("BC")
                        .setPRF(PasswordRecipient.PRF.HMacSHA256)
                        .setSaltAndIterationCount("sixteen octets!!".getBytes(), ROUNDS);
            default:
                X509Certificate to = Material.certificate(who[1]);
                return owner(to, who[2], who[3].equals("ski"), wrapping);
        }
    }

    private static RecipientInfoGenerator owner(
            X509Certificate to, String how, boolean ski, ASN1ObjectIdentifier wrapping)
            throws Exception {
        PublicKey key = to.getPublicKey();
        byte[] identifier = new JcaX509ExtensionUtils()
                .createSubjectKeyIdentifier(key).getKeyIdentifier();
        if (key.getAlgorithm().equals("RSA")) {
            return transport(to, how, ski, identifier);
        }
        if (key.getAlgorithm().startsWith("ML-KEM")) {
            var generator = ski
                    ? new JceKEMRecipientInfoGenerator(identifier, key, wrapping)
                    : new JceKEMRecipientInfoGenerator(to, wrapping);
            return generator.setKDF(CMSAlgorithm.SHA256_HKDF).setProvider("BC");
        }
        KeyPair ephemeral = pair(key);
        var generator = new JceKeyAgreeRecipientInfoGenerator(
                agreement(key, how), ephemeral.getPrivate(), ephemeral.getPublic(), wrapping);
        generator.setProvider("BC");
        return ski ? generator.addRecipient(identifier, key) : generator.addRecipient(to);
    }

    private static RecipientInfoGenerator transport(
            X509Certificate to, String how, boolean ski, byte[] identifier) throws Exception {
        PublicKey key = to.getPublicKey();
        if (!DIGESTS.containsKey(how)) {
            var generator = ski
                    ? new JceKeyTransRecipientInfoGenerator(identifier, key)
                    : new JceKeyTransRecipientInfoGenerator(to);
            return generator.setProvider("BC");
        }
        String digest = DIGESTS.get(how);
        var parameters = new OAEPParameterSpec(
                digest, "MGF1", new MGF1ParameterSpec(digest), PSource.PSpecified.DEFAULT);
        AlgorithmIdentifier oaep = new JcaAlgorithmParametersConverter()
                .getAlgorithmIdentifier(PKCSObjectIdentifiers.id_RSAES_OAEP, parameters);
        var generator = ski
                ? new JceKeyTransRecipientInfoGenerator(identifier, oaep, key)
                : new JceKeyTransRecipientInfoGenerator(to, oaep);
        return generator.setProvider("BC");
    }

    private static KeyPair pair(PublicKey like) throws Exception {
        if (like instanceof ECPublicKey curve) {
            KeyPairGenerator generator = KeyPairGenerator.getInstance("EC", "BC");
            generator.initialize(curve.getParams());
            return generator.generateKeyPair();
        }
        return KeyPairGenerator.getInstance(like.getAlgorithm(), "BC").generateKeyPair();
    }

    /** RFC 5753 section 7.1 and RFC 8418 section 2: a digest as long as the curve is wide. */
    private static ASN1ObjectIdentifier agreement(PublicKey key, String how) {
        if (SCHEMES.containsKey(how)) {
            return SCHEMES.get(how);
        }
        if (!(key instanceof ECPublicKey curve)) {
            boolean narrow = key.getAlgorithm().equals("X25519");
            return narrow ? CMSAlgorithm.ECDH_HKDF_SHA256 : CMSAlgorithm.ECDH_HKDF_SHA512;
        }
        int bits = curve.getParams().getCurve().getField().getFieldSize();
        return bits <= 256 ? CMSAlgorithm.ECDH_SHA256KDF
                : bits <= 384 ? CMSAlgorithm.ECDH_SHA384KDF
                : CMSAlgorithm.ECDH_SHA512KDF;
    }
}
